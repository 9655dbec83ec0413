//! A database looked over, step by step, by the very calls that rows go through.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use super::{
    Target,
    spool::random_id,
    store::{
        Batch, Kind, Maintenance, MySql, Postgres, ServerClock, Sqlite, Store, StoreError, Writer,
    },
};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most that the server's clock may be off: rows of one day would else go to another for longer than
/// anybody overlooks.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// One step, and what came of it: what was found, or what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `connection`, `schema`, `rights`, `partitions` or `clock`.
    pub name: &'static str,
    /// What was found, or what is wrong and how to mend it.
    pub outcome: Result<String, String>,
}

/// Connects, makes or checks the schema as the exporter does at its start, writes no row, and looks
/// at partitions and clock. Ends with the first step that fails, but for the last two.
pub async fn inspect(target: &Target) -> Vec<Step> {
    let mut steps = Vec::new();
    // Each failed step ends it; the steps so far tell.
    let _ = match target.kind {
        Kind::MySql => look::<MySql>(target, &mut steps).await,
        Kind::Postgres => look::<Postgres>(target, &mut steps).await,
        Kind::Sqlite => look::<Sqlite>(target, &mut steps).await,
    };
    steps
}

async fn look<S: Store>(target: &Target, steps: &mut Vec<Step>) -> Option<()> {
    let store = within(S::connect(target)).await;
    let mut store = note(steps, "connection", store, |_| format!("{target} answers"))?;
    let prepared = within(prepare(&mut store)).await;
    let there = "the tables are there and up to date";
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
    note(steps, "partitions", maintained, |()| "the days ahead have their place".into());
    let clock = clock.and_then(|clock| punctual(&clock));
    note(steps, "clock", clock, Clone::clone)?;
    Some(())
}

/// Notes a step; passes on what it gave.
fn note<T>(
    steps: &mut Vec<Step>,
    name: &'static str,
    outcome: Result<T, String>,
    tell: impl FnOnce(&T) -> String,
) -> Option<T> {
    let told = outcome.as_ref().map(tell).map_err(Clone::clone);
    steps.push(Step { name, outcome: told });
    outcome.ok()
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {} s", PATIENCE.as_secs())),
    }
}

/// Tables as the exporter wants them; with what is to be said of views and indexes, which it does not need.
async fn prepare<S: Store>(store: &mut S) -> Result<Vec<&'static str>, StoreError> {
    store.prepare().await?;
    store.advice().await
}

/// Everything that writing takes, but for a row.
async fn write_nothing<S: Store>(store: &mut S) -> Result<(), StoreError> {
    // One of its own: many hosts look at one database, also at the same time.
    let writer = Writer { id: random_id(), host: "doctor".into() };
    let position = store.position(&writer, 0).await?;
    let batch = Batch { from: position, to: position, rows: &[] };
    let written = store.write(&writer, batch).await;
    store.forget(&writer).await?;
    written
}

fn punctual(clock: &ServerClock) -> Result<String, String> {
    let now = SystemTime::now();
    let (ahead, skew) = match clock.now.duration_since(now) {
        Ok(skew) => ("ahead of", skew),
        Err(behind) => ("behind", behind.duration()),
    };
    if skew > MAX_SKEW {
        return Err(format!(
            "the server's clock is {} s {ahead} this host's: set both by NTP (timedatectl set-ntp true)",
            skew.as_secs()
        ));
    }
    Ok(format!("the clocks agree; the server's time zone is {}, rows are in UTC", clock.zone))
}
