//! The store of a URL, chosen at run time, so that the code that uses a store is compiled once and not for each database.

use std::time::SystemTime;

use super::{
    Batch, ClickHouse, Maintenance, MaintenanceReport, MySql, Postgres, Readiness, ServerClock,
    Sqlite, Store, StoreError, WriteRules, Writer,
};
use crate::mirror::{kind::Kind, row::Row, target::Target};

/// A connection to a database of any kind.
pub enum AnyStore {
    /// MySQL or MariaDB.
    MySql(Box<MySql>),
    /// `PostgreSQL`.
    Postgres(Box<Postgres>),
    /// An SQLite file.
    Sqlite(Box<Sqlite>),
    /// `ClickHouse`.
    ClickHouse(Box<ClickHouse>),
}

/// Awaits a call of the store. Its future is boxed: the largest of the four would be a part of every caller.
macro_rules! call {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match $store {
            Self::MySql(store) => Box::pin(store.$method($($argument),*)).await,
            Self::Postgres(store) => Box::pin(store.$method($($argument),*)).await,
            Self::Sqlite(store) => Box::pin(store.$method($($argument),*)).await,
            Self::ClickHouse(store) => Box::pin(store.$method($($argument),*)).await,
        }
    };
}

impl Store for AnyStore {
    fn rules(kind: Kind) -> WriteRules {
        match kind {
            Kind::MySql => MySql::rules(kind),
            Kind::Postgres => Postgres::rules(kind),
            Kind::Sqlite => Sqlite::rules(kind),
            Kind::ClickHouse => ClickHouse::rules(kind),
        }
    }

    async fn connect(target: &Target) -> Result<Self, StoreError> {
        Ok(match target.kind {
            Kind::MySql => Self::MySql(Box::new(Box::pin(MySql::connect(target)).await?)),
            Kind::Postgres => Self::Postgres(Box::new(Box::pin(Postgres::connect(target)).await?)),
            Kind::Sqlite => Self::Sqlite(Box::new(Box::pin(Sqlite::connect(target)).await?)),
            Kind::ClickHouse => {
                Self::ClickHouse(Box::new(Box::pin(ClickHouse::connect(target)).await?))
            }
        })
    }

    async fn readiness(&mut self) -> Result<Readiness, StoreError> {
        call!(self, readiness())
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        call!(self, prepare())
    }

    async fn recorded(
        &mut self,
        writer: &Writer,
        at_least: u64,
    ) -> Result<Option<u64>, StoreError> {
        call!(self, recorded(writer, at_least))
    }

    async fn position(&mut self, writer: &Writer, at_least: u64) -> Result<u64, StoreError> {
        call!(self, position(writer, at_least))
    }

    async fn write(&mut self, writer: &Writer, batch: Batch<'_>) -> Result<(), StoreError> {
        call!(self, write(writer, batch))
    }

    async fn try_rows(&mut self, writer: &Writer, rows: &[Row]) -> Result<(), StoreError> {
        call!(self, try_rows(writer, rows))
    }

    async fn forget(&mut self, writer: &Writer) -> Result<(), StoreError> {
        call!(self, forget(writer))
    }

    async fn newest_row(&mut self, until: SystemTime) -> Result<Option<SystemTime>, StoreError> {
        call!(self, newest_row(until))
    }

    async fn maintain(
        &mut self,
        maintenance: &Maintenance,
        now: SystemTime,
    ) -> Result<MaintenanceReport, StoreError> {
        call!(self, maintain(maintenance, now))
    }

    async fn clock(&mut self) -> Result<ServerClock, StoreError> {
        call!(self, clock())
    }

    async fn advice(&mut self) -> Result<Vec<&'static str>, StoreError> {
        call!(self, advice())
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        call!(self, ping())
    }
}
