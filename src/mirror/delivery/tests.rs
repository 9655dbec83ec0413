//! The delivery with stores whose faults no real database can be made to have.

use std::{collections::VecDeque, path::Path, sync::Mutex, time::SystemTime};

use super::*;
use crate::event::{CurrentNames, Names};
use crate::mirror::{
    config::ServerOrder,
    row::Row,
    spool::{OtherTarget, Spool, SpoolPlan},
    store::{Batch, Kind, MaintenanceReport, ServerClock},
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

    async fn try_rows(&mut self, _: &Writer, _: &[Row]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget(&mut self, _: &Writer) -> Result<(), StoreError> {
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

#[tokio::test]
async fn a_store_that_panics_is_retried() {
    const ROWS: usize = 100;
    let calls = ["connect", "maintain", "write"];
    PANICS.lock().unwrap().extend(calls);
    let directory = tempfile::tempdir().unwrap();
    let queue = Queue::new(1 << 20, CurrentNames::new(Names::default()));
    let spool = SharedSpool::new(spool(directory.path()), queue.clone());
    let rows = vec![Row::default(); ROWS];
    queue.book(|account| {
        account.offer(ROWS, ROWS);
        account.spool(ROWS, [0; 3]);
    });
    spool.with(|spool| spool.append(&rows, 0)).unwrap();
    let failover = Failover::new(target().into(), ServerOrder::Listed);
    let (end, ending) = watch::channel(true);
    let delivery = Delivery::new(
        (queue.clone(), spool, Arc::default()),
        (failover, Maintenance::default()),
        ending,
    );
    delivery.run::<Faulty>().await;
    drop(end);
    let figures = queue.status();
    assert_eq!(figures.panics, calls.len() as u64);
    assert_eq!((figures.account.written, figures.account.spooled), (ROWS as u64, 0));
    assert!(figures.up);
}
