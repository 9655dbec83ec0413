//! Chooses one of the servers of a database, and another one after a failure.

use super::{
    config::ServerOrder,
    deadline::{CONNECT, within},
    kind::Kind,
    store::{Readiness, Store, StoreError},
    target::{Servers, Target},
};
use crate::system::random;

/// The servers of a database, and which one is in use.
#[derive(Debug)]
pub(super) struct Failover {
    servers: Servers,
    order: ServerOrder,
    /// Index of the server that was connected last, or failed last.
    last: usize,
    /// Whether it failed: a round then ends with it, and otherwise begins with it.
    has_failed: bool,
    /// Whether a server is connected.
    is_connected: bool,
    /// Index of the server in the last message about it.
    logged: Option<usize>,
    /// Servers that failed one after the other, without a success in between.
    failures: usize,
}

impl Failover {
    /// Begins with the first server, or with a random one.
    pub(super) fn new(servers: Servers, order: ServerOrder) -> Self {
        Self {
            servers,
            order,
            last: 0,
            has_failed: false,
            is_connected: false,
            logged: None,
            failures: 0,
        }
    }

    /// Index of the server that was connected last; before, of the first one.
    pub(super) fn index(&self) -> usize {
        self.last
    }

    /// The server that was connected last; before, the first one.
    pub(super) fn server(&self) -> &Target {
        self.servers.at(self.last)
    }

    /// What an error is about: the connected server, or all of them.
    pub(super) fn subject(&self) -> String {
        if self.is_connected { self.server().to_string() } else { self.servers.to_string() }
    }

    /// Records that connecting failed, or the connected server. Returns whether to pause: all servers failed in turn. After
    /// a conflict the server stays.
    pub(super) fn failed(&mut self, error: &StoreError, was_useful: bool) -> bool {
        if !std::mem::take(&mut self.is_connected) || matches!(error, StoreError::Conflict(_)) {
            return true;
        }
        self.has_failed = true;
        self.failures = if was_useful { 1 } else { self.failures + 1 };
        let is_round = self.failures >= self.servers.count();
        if is_round {
            self.failures = 0;
        }
        is_round
    }

    /// The kind of the servers.
    pub(super) fn kind(&self) -> Kind {
        self.servers.kind()
    }

    /// Connects to the first server that accepts rows; tries each server once.
    ///
    /// # Errors
    /// No server accepts rows; the text has the reason of each.
    pub(super) async fn connect<S: Store>(&mut self) -> Result<S, StoreError> {
        let mut problems = Vec::new();
        let mut last_resort = None;
        for index in self.round() {
            match connect::<S>(self.servers.at(index)).await {
                Ok((store, Readiness::Ready(_))) => {
                    return Ok(self.connected(index, store, &problems));
                }
                Ok((store, Readiness::Busy(why))) => {
                    problems.push(self.problem(index, StoreError::Unavailable(why)));
                    last_resort = last_resort.or(Some((index, store)));
                }
                Ok((_, Readiness::NotReady(why))) => {
                    problems.push(self.problem(index, StoreError::Unavailable(why)));
                }
                Err(error) => problems.push(self.problem(index, error)),
            }
        }
        if let Some((index, store)) = last_resort {
            return Ok(self.connected(index, store, &problems));
        }
        Err(sum(problems))
    }

    /// The order of this round: all servers, a failed one last.
    fn round(&self) -> Vec<usize> {
        let count = self.servers.count();
        let start = self.last + usize::from(self.has_failed);
        let mut round: Vec<_> = (start..start + count).map(|index| index % count).collect();
        if self.order == ServerOrder::Random {
            let free = match (self.has_failed, self.logged) {
                (true, _) => 0..count - 1,
                // One that is to be used again.
                (false, Some(_)) => 1..count,
                (false, None) => 0..count,
            };
            shuffle(&mut round[free]);
        }
        round
    }

    fn problem(&self, index: usize, error: StoreError) -> (usize, StoreError) {
        // With one server, the caller names it.
        let server = self.servers.at(index);
        let named = |text: String| {
            if self.servers.count() == 1 { text } else { format!("{server}: {text}") }
        };
        let error = match error {
            StoreError::Denied(text) => StoreError::Denied(named(text)),
            error => StoreError::Unavailable(named(error.to_string())),
        };
        (index, error)
    }

    /// Records the server in use, and logs why others were skipped.
    fn connected<S>(&mut self, index: usize, store: S, problems: &[(usize, StoreError)]) -> S {
        for (_, error) in problems.iter().filter(|(skipped, _)| *skipped != index) {
            tracing::warn!("mirror: skipped a server: {error}");
        }
        for (_, error) in problems.iter().filter(|(skipped, _)| *skipped == index) {
            tracing::warn!("mirror: no other server accepts rows: {error}");
        }
        if self.servers.count() > 1 && self.logged != Some(index) {
            tracing::info!("mirror: uses {}", self.servers.at(index));
        }
        (self.last, self.has_failed, self.is_connected) = (index, false, true);
        self.logged = Some(index);
        store
    }
}

/// Connects to a server, and asks whether it accepts rows.
pub(super) async fn connect<S: Store>(server: &Target) -> Result<(S, Readiness), StoreError> {
    let connected = async {
        let mut store = S::connect(server).await?;
        let readiness = store.readiness().await?;
        Ok((store, readiness))
    };
    within(CONNECT, "a connection", connected).await
}

/// One error for all servers. An administrator has to act if all of them require it.
fn sum(problems: Vec<(usize, StoreError)>) -> StoreError {
    let is_denied = problems.iter().all(|(_, error)| matches!(error, StoreError::Denied(_)));
    let texts: Vec<_> = problems.into_iter().map(|(_, error)| error.to_string()).collect();
    let text = texts.join("; ");
    if is_denied { StoreError::Denied(text) } else { StoreError::Unavailable(text) }
}

/// Shuffles (Fisher, Yates).
fn shuffle(indices: &mut [usize]) {
    for last in (1..indices.len()).rev() {
        let chosen = random::number() % (last as u64 + 1);
        indices.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn failover(order: ServerOrder) -> Failover {
        Failover::new("mysql://a,b,c/d".parse().unwrap(), order)
    }

    fn gone() -> StoreError {
        StoreError::Unavailable("gone".into())
    }

    #[test]
    fn the_listed_order_continues_after_a_failure() {
        let mut failover = failover(ServerOrder::Listed);
        assert_eq!(failover.round(), [0, 1, 2]);
        assert!(failover.failed(&gone(), false), "no server was found");
        assert_eq!(failover.round(), [0, 1, 2]);
        failover.connected(1, (), &[]);
        assert_eq!((failover.round(), failover.server()), (vec![1, 2, 0], failover.servers.at(1)));
        assert!(failover.failed(&StoreError::Conflict("1213".into()), true));
        assert_eq!(failover.round(), [1, 2, 0], "a conflict changes nothing");
        failover.connected(1, (), &[]);
        // Without a pause until all have failed in turn.
        assert!(!failover.failed(&gone(), true));
        assert_eq!(failover.round(), [2, 0, 1]);
        failover.connected(2, (), &[]);
        assert!(!failover.failed(&gone(), false));
        failover.connected(0, (), &[]);
        assert!(failover.failed(&gone(), false));
        assert_eq!(failover.round(), [1, 2, 0]);
    }

    #[test]
    fn one_server_is_tried_after_a_pause() {
        let mut failover = Failover::new("mysql://a/d".parse().unwrap(), ServerOrder::Random);
        failover.connected(0, (), &[]);
        assert!(failover.failed(&gone(), true));
        assert_eq!(failover.round(), [0]);
    }

    #[test]
    fn a_random_order_has_each_server_once_and_a_failed_one_last() {
        let mut failover = failover(ServerOrder::Random);
        let rounds =
            |failover: &Failover| -> BTreeSet<_> { (0..200).map(|_| failover.round()).collect() };
        assert_eq!(rounds(&failover).len(), 6);
        failover.connected(1, (), &[]);
        assert_eq!(rounds(&failover), BTreeSet::from([vec![1, 0, 2], vec![1, 2, 0]]));
        failover.failed(&gone(), true);
        assert_eq!(rounds(&failover), BTreeSet::from([vec![0, 2, 1], vec![2, 0, 1]]));
    }
}
