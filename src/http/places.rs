//! A bounded room, of which the place that has waited longest is taken back for another.
//!
//! Whoever opens connections, or asks for answers, and then lets them lie keeps nobody out: a place
//! that is taken or used anew goes to the end of the line, and the first in line has to leave. One
//! that is at work stands in no line: it is not its owner that lets it lie.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The room.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    turn: u64,
    /// Of all places, in line or at work.
    used: usize,
    /// By turn; the first has waited longest.
    waiting: BTreeMap<u64, Entry>,
}

/// A place in the line.
#[derive(Debug)]
struct Entry {
    size: usize,
    /// Who gets notice.
    owners: Vec<Arc<Notify>>,
}

/// A place; free when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// In line, unless it got notice.
    Waiting(u64),
    /// The turn it had, and what stood there.
    Working(u64, Entry),
}

/// Somebody who gets notice when a place is taken back, until this is dropped.
#[derive(Debug)]
pub(super) struct Owner {
    place: Arc<Place>,
    notice: Arc<Notify>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, line: Mutex::default() })
    }

    /// Takes a place of a size. When there is no room, those who have waited longest get notice to
    /// leave, and their places count as free. `None` where nobody waits who could leave.
    pub(super) fn take(self: &Arc<Self>, size: usize) -> Option<Place> {
        let mut line = self.line();
        line.make_room(size, self.most).then(|| self.place(&mut line, size))
    }

    /// Takes a place of a size as [`Places::take`] does, also where there is no room for it alone.
    pub(super) fn take_anyhow(self: &Arc<Self>, size: usize) -> Place {
        let mut line = self.line();
        line.make_room(size, self.most);
        self.place(&mut line, size)
    }

    fn place(self: &Arc<Self>, line: &mut Line, size: usize) -> Place {
        line.used += size;
        line.turn += 1;
        line.waiting.insert(line.turn, Entry { size, owners: Vec::new() });
        Place { places: self.clone(), state: Mutex::new(State::Waiting(line.turn)) }
    }

    /// Gives notice to who has waited longest.
    pub(super) fn thin(&self) {
        self.line().give_notice();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn make_room(&mut self, size: usize, most: usize) -> bool {
        while self.used.saturating_add(size) > most {
            if !self.give_notice() {
                return false;
            }
        }
        true
    }

    /// Gives notice to the first; `false` when there is none.
    fn give_notice(&mut self) -> bool {
        let Some((_, first)) = self.waiting.pop_first() else { return false };
        self.used -= first.size;
        first.owners.iter().for_each(|owner| owner.notify_one());
        true
    }
}

impl Place {
    /// Makes somebody an owner: told when the place is taken back, at once if it was.
    pub(super) fn own(self: &Arc<Self>, notice: Arc<Notify>) -> Owner {
        self.with_entry(|entry| match entry {
            Some(entry) => entry.owners.push(notice.clone()),
            None => notice.notify_one(),
        });
        Owner { place: self.clone(), notice }
    }

    /// Leaves the line for as long as its owner waits for us. One that has notice keeps it.
    pub(super) fn work(&self) {
        let mut line = self.places.line();
        let mut state = self.state();
        if let State::Waiting(turn) = *state
            && let Some(entry) = line.waiting.remove(&turn)
        {
            *state = State::Working(turn, entry);
        }
    }

    /// Comes back into the line: at its end if it was of use, else where it was.
    pub(super) fn rest(&self, was_of_use: bool) {
        let mut line = self.places.line();
        let mut state = self.state();
        let State::Working(old, _) = *state else { return };
        line.turn += 1;
        let turn = if was_of_use { line.turn } else { old };
        if let State::Working(_, entry) = mem::replace(&mut *state, State::Waiting(turn)) {
            line.waiting.insert(turn, entry);
        }
    }

    fn with_entry<T>(&self, work: impl FnOnce(Option<&mut Entry>) -> T) -> T {
        let mut line = self.places.line();
        match &mut *self.state() {
            State::Waiting(turn) => work(line.waiting.get_mut(turn)),
            State::Working(_, entry) => work(Some(entry)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.places.line();
        let size = match &*self.state() {
            State::Waiting(turn) => line.waiting.remove(turn).map_or(0, |entry| entry.size),
            State::Working(_, entry) => entry.size,
        };
        line.used -= size;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.place.with_entry(|entry| {
            if let Some(entry) = entry {
                entry.owners.retain(|owner| !Arc::ptr_eq(owner, &self.notice));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Waker};

    use super::*;

    /// A place with one owner, who may have got notice.
    struct Owned {
        place: Arc<Place>,
        owner: Owner,
    }

    fn owned(place: Place) -> Owned {
        let place = Arc::new(place);
        Owned { owner: place.own(Arc::default()), place }
    }

    fn has_notice(owner: &Owner) -> bool {
        let notified = std::pin::pin!(owner.notice.notified());
        notified.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn notices<const N: usize>(all: [&Owned; N]) -> [bool; N] {
        all.map(|owned| has_notice(&owned.owner))
    }

    fn is_empty(places: &Places) -> bool {
        let line = places.line();
        line.waiting.is_empty() && line.used == 0
    }

    #[test]
    fn who_has_waited_longest_leaves_for_another() {
        let places = Places::new(2);
        let take = || owned(places.take(1).unwrap());
        let (first, second) = (take(), take());
        assert_eq!(notices([&first, &second]), [false; 2]);
        first.place.work();
        first.place.rest(true);
        let third = take();
        assert_eq!(notices([&first, &second, &third]), [false, true, false]);
        // One that has notice neither comes back nor frees another's place.
        second.place.work();
        second.place.rest(true);
        drop(second);
        let fourth = take();
        assert_eq!(notices([&first, &third, &fourth]), [true, false, false]);
        drop((first, third, fourth));
        assert!(is_empty(&places));
    }

    #[test]
    fn who_is_at_work_stays_and_who_was_of_no_use_is_no_younger() {
        let places = Places::new(2);
        let take = || owned(places.take(1).unwrap());
        let (first, second) = (take(), take());
        first.place.work();
        let third = take();
        assert_eq!(notices([&first, &second, &third]), [false, true, false]);
        third.place.work();
        assert!(places.take(1).is_none(), "both are at work");
        third.place.rest(true);
        first.place.rest(false);
        let fourth = take();
        assert_eq!(notices([&first, &third, &fourth]), [true, false, false]);
        third.place.work();
        drop((first, second, third, fourth));
        assert!(is_empty(&places));
    }

    #[test]
    fn sizes_add_up_and_one_alone_may_always_be() {
        let places = Places::new(10);
        let take = |size| owned(places.take_anyhow(size));
        let (first, second) = (take(4), take(6));
        assert_eq!(notices([&first, &second]), [false; 2]);
        let third = take(7);
        assert_eq!(notices([&first, &second, &third]), [true, true, false]);
        let huge = take(1000);
        assert_eq!(notices([&third, &huge]), [true, false]);
        drop((first, second, third, huge));
        assert!(is_empty(&places));
    }

    #[test]
    fn all_owners_of_a_place_are_told_but_those_that_are_through() {
        let places = Places::new(1);
        let place = Arc::new(places.take(1).unwrap());
        let [one, two, gone] = [0; 3].map(|_| place.own(Arc::default()));
        let through = gone.notice.clone();
        drop(gone);
        let _next = places.take(1).unwrap();
        assert!(has_notice(&one) && has_notice(&two));
        assert_eq!(Arc::strong_count(&through), 1);
        assert!(has_notice(&place.own(Arc::default())), "who comes later is told at once");
    }
}
