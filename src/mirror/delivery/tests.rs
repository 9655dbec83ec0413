//! The delivery with stores whose faults no real database can be made to have.

use std::{
    collections::VecDeque, future::pending, ops::Range, path::Path, sync::Mutex, time::SystemTime,
};

use super::*;
use crate::event::{CurrentNames, Names};
use crate::mirror::{
    config::ServerOrder,
    row::Row,
    spool::{OtherTarget, Spool, SpoolPlan},
    store::{Batch, Kind, MaintenanceReport, ServerClock, WriteRules},
    target::{Endpoint, Target, Tls},
};

/// Calls that panic, in order; later calls succeed.
static PANICS: Mutex<VecDeque<&str>> = Mutex::new(VecDeque::new());

fn may_panic(call: &'static str) {
    let mut panics = PANICS.lock().unwrap();
    if panics.front() == Some(&call) {
        panics.pop_front();
        drop(panics);
        panic!("asked to in {call}");
    }
}

/// The calls without a fault.
macro_rules! other_calls {
    () => {
        async fn try_rows(&mut self, _: &Writer, _: &[Row]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn forget(&mut self, _: &Writer) -> Result<(), StoreError> {
            Ok(())
        }

        async fn newest_row(&mut self, _: SystemTime) -> Result<Option<SystemTime>, StoreError> {
            Ok(None)
        }

        async fn clock(&mut self) -> Result<ServerClock, StoreError> {
            Ok(ServerClock { now: SystemTime::now(), zone: "UTC".into() })
        }

        async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
            Ok(Vec::new())
        }

        async fn ping(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    };
}

struct Faulty;

impl Store for Faulty {
    async fn connect(_: &Target) -> Result<Self, StoreError> {
        may_panic("connect");
        Ok(Self)
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        may_panic("prepare");
        Ok(())
    }

    async fn position(&mut self, _: &Writer, at_least: u64) -> Result<u64, StoreError> {
        may_panic("position");
        Ok(at_least)
    }

    async fn write(&mut self, _: &Writer, _: Batch<'_>) -> Result<(), StoreError> {
        may_panic("write");
        Ok(())
    }

    async fn maintain(
        &mut self,
        _: &Maintenance,
        _: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        may_panic("maintain");
        Ok(MaintenanceReport::default())
    }

    other_calls!();
}

/// A server without transactions that answers everything except inserts until a time, and then executes those that are
/// younger than a minute. It drops an insert of the same rows.
struct Stalled {
    until: Instant,
    waiting: Vec<(Instant, Inserted)>,
    stored: Vec<Inserted>,
}

/// A writer, and the numbers of its rows.
type Inserted = ([u8; 16], Range<u64>);

static STALLED: Mutex<Option<Stalled>> = Mutex::new(None);

impl Stalled {
    fn insert(&mut self, rows: Inserted) -> bool {
        self.waiting.push((Instant::now(), rows));
        self.execute()
    }

    fn execute(&mut self) -> bool {
        if Instant::now() < self.until {
            return false;
        }
        for (began, rows) in self.waiting.drain(..) {
            let is_alive = self.until.saturating_duration_since(began) < Duration::from_secs(60);
            if is_alive && !self.stored.contains(&rows) {
                self.stored.push(rows);
            }
        }
        true
    }

    fn position(&mut self, writer: [u8; 16]) -> u64 {
        self.execute();
        let own = self.stored.iter().filter(|(of, _)| *of == writer);
        own.map(|(_, rows)| rows.end).max().unwrap_or(0)
    }
}

fn stalled<T>(call: impl FnOnce(&mut Stalled) -> T) -> T {
    call(STALLED.lock().unwrap().as_mut().unwrap())
}

struct WithoutTransactions;

impl Store for WithoutTransactions {
    fn rules(_: Kind) -> WriteRules {
        WriteRules {
            writes_whole_batches: false,
            max_write_time: Duration::from_secs(60),
            ..WriteRules::default()
        }
    }

    async fn connect(_: &Target) -> Result<Self, StoreError> {
        Ok(Self)
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        Ok(stalled(|server| server.position(writer.id)).max(at_least))
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        if !stalled(|server| server.insert((writer.id, batch.from..batch.to))) {
            pending::<()>().await;
        }
        Ok(())
    }

    async fn maintain(
        &mut self,
        _: &Maintenance,
        _: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        Ok(MaintenanceReport::default())
    }

    other_calls!();
}

fn target() -> Target {
    Target {
        kind: Kind::Sqlite,
        endpoint: Endpoint::File("nowhere.db".into()),
        user: String::new(),
        password: String::new(),
        database: String::new(),
        tls: Tls::Off,
    }
}

fn spool(directory: &Path) -> Spool {
    let plan = SpoolPlan {
        directory: directory.into(),
        max_size: 1 << 20,
        host: "gate".into(),
        target: target().identity(),
        other_target: OtherTarget::default(),
    };
    Spool::open(plan).unwrap()
}

/// The delivery of so many rows that wait in the spool; it ends with them.
fn delivery(directory: &Path, rows: usize) -> (Delivery, Queue) {
    let queue = Queue::new(1 << 20, CurrentNames::new(Names::default()));
    let spool = SharedSpool::new(spool(directory), queue.clone());
    queue.book(|account| {
        account.offer(rows, rows);
        account.spool(rows, [0; 3]);
    });
    spool.with(|spool| spool.append(&vec![Row::default(); rows], 0)).unwrap();
    let ending = watch::channel(true).1;
    let parts = (queue.clone(), spool, Arc::default());
    let failover = Failover::new(target().into(), ServerOrder::Listed);
    (Delivery::new(parts, (failover, Maintenance::default()), ending), queue)
}

#[tokio::test]
async fn a_store_that_panics_is_retried() {
    const ROWS: usize = 100;
    let calls = ["connect", "maintain", "write"];
    PANICS.lock().unwrap().extend(calls);
    let directory = tempfile::tempdir().unwrap();
    let (delivery, queue) = delivery(directory.path(), ROWS);
    delivery.run::<Faulty>().await;
    let figures = queue.status();
    assert_eq!(figures.panics, calls.len() as u64);
    assert_eq!((figures.account.written, figures.account.spooled), (ROWS as u64, 0));
    assert!(figures.up);
}

/// Rows go into other batches only when the server has ended those of unknown outcome.
#[tokio::test(start_paused = true)]
async fn inserts_that_stall_write_each_row_once() {
    const ROWS: usize = 2_000;
    for seconds in [10, 40, 68, 90, 200, 400] {
        let until = Instant::now() + Duration::from_secs(seconds);
        let server = Stalled { until, waiting: Vec::new(), stored: Vec::new() };
        *STALLED.lock().unwrap() = Some(server);
        let directory = tempfile::tempdir().unwrap();
        let (delivery, queue) = delivery(directory.path(), ROWS);
        delivery.run::<WithoutTransactions>().await;
        let stored = stalled(|server| server.stored.clone());
        let rows: u64 = stored.iter().map(|(_, rows)| rows.end - rows.start).sum();
        assert_eq!(rows, ROWS as u64, "{seconds} s: {stored:?}");
        assert_eq!(queue.status().account.written, ROWS as u64);
        assert!(until.elapsed() < Duration::from_secs(120), "{seconds} s: {:?}", until.elapsed());
    }
}
