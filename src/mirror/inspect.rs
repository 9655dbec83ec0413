//! Checks a database step by step, with the calls that the exporter itself makes.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use super::{
    failover,
    store::{AnyStore, Batch, Maintenance, Readiness, ServerClock, Store, StoreError, Writer},
    target::Servers,
};
use crate::system::random;

/// Deadline of one step.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum difference between the server's clock and this host's: near midnight, a larger one assigns rows to
/// the wrong day.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// One step and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectionStep {
    /// `server` for one of several, `connection`, `schema`, `rights`, `partitions` or `clock`.
    pub name: &'static str,
    /// The finding, or the error and its fix.
    pub outcome: Result<String, String>,
}

/// Connects to every server. On the first one that accepts rows, creates or checks the schema as a start does, writes no
/// row, and checks partitions and clock. Stops at the first step that fails, except for the last two.
pub async fn inspect(servers: &Servers) -> Vec<InspectionStep> {
    let mut steps = Vec::new();
    // A failed step ends the inspection; `steps` has the outcome.
    let _ = inspect_store::<AnyStore>(servers, &mut steps).await;
    steps
}

async fn inspect_store<S: Store>(servers: &Servers, steps: &mut Vec<InspectionStep>) -> Option<()> {
    // The future of a connection is large.
    let mut store = Box::pin(connect::<S>(servers, steps)).await?;
    let prepared = within(prepare(&mut store)).await;
    let there = "the tables exist and are up to date";
    note(steps, "schema", prepared, |advice| match advice {
        advice if advice.is_empty() => there.into(),
        advice => format!("{there}; but {}", advice.join("; ")),
    })?;
    let written = within(write_nothing(&mut store)).await;
    note(steps, "rights", written, |()| "rows can be written".into())?;
    let clock = within(store.clock()).await;
    let now = clock.as_ref().map_or_else(|_| SystemTime::now(), |clock| clock.now);
    let maintained = within(store.maintain(&Maintenance::default(), now)).await;
    let maintained = maintained.and_then(|maintained| match maintained.warnings.first() {
        Some(warning) => Err(warning.clone()),
        None => Ok(()),
    });
    note(steps, "partitions", maintained, |()| "the partitions of the next days exist".into());
    let clock = clock.and_then(|clock| check_clock(&clock));
    note(steps, "clock", clock, Clone::clone)?;
    Some(())
}

/// Connects to every server; returns the first one that accepts rows.
async fn connect<S: Store>(servers: &Servers, steps: &mut Vec<InspectionStep>) -> Option<S> {
    let is_single = servers.count() == 1;
    let (mut usable, mut last_resort) = (None, None);
    for server in servers.iter() {
        let connected = match within(failover::connect::<S>(server)).await {
            Ok((_, Readiness::NotReady(why))) if is_single => Err(why),
            connected => connected,
        };
        let is_first = usable.is_none();
        let describe = |(_, readiness): &(S, Readiness)| match readiness {
            _ if is_single => format!("{server} answers"),
            Readiness::Ready(what) if is_first => format!("{server} {what}; it is usable first"),
            Readiness::Ready(what) => format!("{server} {what}; it is usable"),
            Readiness::Busy(why) => {
                format!("{server}: {why}; it is used if no other one is usable")
            }
            // The normal state of a standby.
            Readiness::NotReady(why) => format!("{server}: {why}; it is not usable now"),
        };
        let connected =
            connected.map_err(|error| if is_single { error } else { format!("{server}: {error}") });
        let name = if is_single { "connection" } else { "server" };
        match note(steps, name, connected, describe) {
            Some((store, Readiness::Ready(_))) => usable = usable.or(Some(store)),
            Some((store, Readiness::Busy(_))) => last_resort = last_resort.or(Some(store)),
            Some((_, Readiness::NotReady(_))) | None => {}
        }
    }
    let usable = usable.or(last_resort);
    if usable.is_none() && !is_single {
        let why = "no server accepts rows: start the primary or promote a standby".to_owned();
        steps.push(InspectionStep { name: "connection", outcome: Err(why) });
    }
    usable
}

/// Records a step; returns its value.
fn note<T>(
    steps: &mut Vec<InspectionStep>,
    name: &'static str,
    outcome: Result<T, String>,
    describe: impl FnOnce(&T) -> String,
) -> Option<T> {
    let described = outcome.as_ref().map(describe).map_err(Clone::clone);
    steps.push(InspectionStep { name, outcome: described });
    outcome.ok()
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {} s", TIMEOUT.as_secs())),
    }
}

/// Prepares the tables; returns advice about views and indexes, which the exporter does not need.
async fn prepare<S: Store>(store: &mut S) -> Result<Vec<&'static str>, StoreError> {
    store.prepare().await?;
    store.advice().await
}

/// Runs all statements of a write, without a row.
async fn write_nothing<S: Store>(store: &mut S) -> Result<(), StoreError> {
    // A writer of its own: several hosts may inspect one database at the same time.
    let writer = Writer { id: random::id(), host: "doctor".into() };
    let position = store.position(&writer, 0).await?;
    let batch = Batch { from: position, to: position, rows: &[] };
    let written = store.write(&writer, batch).await;
    store.forget(&writer).await?;
    written
}

fn check_clock(clock: &ServerClock) -> Result<String, String> {
    let now = SystemTime::now();
    let (ahead, skew) = match clock.now.duration_since(now) {
        Ok(skew) => ("ahead of", skew),
        Err(earlier) => ("behind", earlier.duration()),
    };
    if skew > MAX_SKEW {
        return Err(format!(
            "the server's clock is {} s {ahead} this host's: synchronise both with NTP (timedatectl set-ntp true)",
            skew.as_secs()
        ));
    }
    Ok(format!("the clocks agree; the server's time zone is {}, rows are in UTC", clock.zone))
}
