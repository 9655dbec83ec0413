//! A bounded number of places, of which the one that has waited longest is taken back for another.
//!
//! Whoever opens connections, or asks for answers, and then lets them lie keeps nobody out: a place
//! that is taken or used anew goes to the end of the line, and the first in line has to leave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    turn: u64,
    /// By turn; the first has waited longest.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// A place; free when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    notice: Arc<Notify>,
    turn: Mutex<u64>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, line: Mutex::default() })
    }

    /// Takes a place. When none is left, who has waited longest gets notice to leave, and its place
    /// counts as free.
    pub(super) fn take(self: &Arc<Self>, notice: Arc<Notify>) -> Place {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.waiting.len() >= self.most
            && let Some((_, first)) = line.waiting.pop_first()
        {
            first.notify_one();
        }
        let turn = line.join(notice.clone());
        Place { places: self.clone(), notice, turn: Mutex::new(turn) }
    }
}

impl Line {
    fn join(&mut self, notice: Arc<Notify>) -> u64 {
        self.turn += 1;
        self.waiting.insert(self.turn, notice);
        self.turn
    }
}

impl Place {
    /// Where its owner gets notice.
    pub(super) fn notice(&self) -> Arc<Notify> {
        self.notice.clone()
    }

    /// Goes to the end of the line: it is in use again. One that has notice keeps it.
    pub(super) fn renew(&self) {
        let mut line = self.places.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if line.waiting.remove(&turn).is_some() {
            *turn = line.join(self.notice.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.places.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.waiting.remove(self.turn.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Waker};

    use super::*;

    fn has_notice(notice: &Notify) -> bool {
        let notified = std::pin::pin!(notice.notified());
        notified.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_has_waited_longest_leaves_for_another() {
        let places = Places::new(2);
        let notices: Vec<Arc<Notify>> = (0..4).map(|_| Arc::default()).collect();
        let first = places.take(notices[0].clone());
        let second = places.take(notices[1].clone());
        assert!(!notices.iter().any(|notice| has_notice(notice)));
        first.renew();
        let third = places.take(notices[2].clone());
        assert_eq!([0, 1, 2].map(|at| has_notice(&notices[at])), [false, true, false]);
        // One that has notice neither comes back nor frees another's place.
        second.renew();
        drop(second);
        let fourth = places.take(notices[3].clone());
        assert_eq!([0, 2, 3].map(|at| has_notice(&notices[at])), [true, false, false]);
        drop((first, third, fourth));
        assert!(places.line.lock().unwrap().waiting.is_empty());
    }
}
