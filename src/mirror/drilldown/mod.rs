//! Answers questions about the rows of the mirror's database, for the page: read-only, and within a time limit.

mod answer;
mod metrics;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::{answer::Cells, metrics::Outcome};
use super::{
    kind::Kind,
    rows_query::Question,
    store::{
        ClickHouseReader, MySqlReader, PostgresReader, RowReader, SqliteReader, Stop, StoreError,
    },
    target::{Servers, Target},
};
use crate::system::lock::lock;

/// Time limit for an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Time limit for a connection to one of several servers.
const CONNECT: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DrilldownError {
    /// The database cannot be read.
    #[error("the mirror's database cannot be read: {0}")]
    Database(String),
    /// The time limit was exceeded.
    #[error(
        "the mirror's database did not answer within {} s, and the query was ended: choose a shorter range or another \
         filter", LIMIT.as_secs()
    )]
    TimeLimit,
    /// Whoever asked does not wait any more.
    #[error("cancelled")]
    Cancelled,
}

/// Reads the rows of the mirror's database.
#[derive(Clone, Debug)]
pub struct Drilldown {
    servers: Servers,
    host: String,
    outcomes: Arc<Mutex<[u64; Outcome::ALL.len()]>>,
    limit: Duration,
    few: u32,
}

impl Drilldown {
    /// Reads from these servers. `host` is the name of this host in the rows.
    #[must_use]
    pub fn new(servers: Servers, host: String) -> Self {
        Self { servers, host, outcomes: Arc::default(), limit: LIMIT, few: answer::FEW }
    }

    /// Changes the time limit, for tests.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Changes the number of rows of a period that are read by time, for tests.
    #[must_use]
    pub fn with_few_rows(self, few: u32) -> Self {
        Self { few, ..self }
    }

    /// The name of this host in the rows.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Answers a question; passes each row of the answer to `take`, in its order. Blocks its thread until the answer is
    /// complete, the time limit is exceeded, or `cancelled` is.
    ///
    /// # Errors
    /// No server can be read, or there was no time. Rows that were passed before are not the whole answer.
    pub fn answer(
        &self,
        question: &Question,
        cancelled: CancellationToken,
        take: &mut (dyn FnMut(Cells) + Send),
    ) -> Result<(), DrilldownError> {
        let stop = Stop { cancelled, deadline: Instant::now() + self.limit };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answered = match runtime {
            Ok(runtime) => runtime.block_on(self.answer_with(&stop, question, take)),
            Err(error) => Err(DrilldownError::Database(error.to_string())),
        };
        lock(&self.outcomes)[Outcome::of(&answered) as usize] += 1;
        answered
    }

    async fn answer_with(
        &self,
        stop: &Stop,
        question: &Question,
        take: &mut (dyn FnMut(Cells) + Send),
    ) -> Result<(), DrilldownError> {
        match self.servers.kind() {
            Kind::MySql => self.read::<MySqlReader>(stop, question, take).await,
            Kind::Postgres => self.read::<PostgresReader>(stop, question, take).await,
            Kind::Sqlite => self.read::<SqliteReader>(stop, question, take).await,
            Kind::ClickHouse => self.read::<ClickHouseReader>(stop, question, take).await,
        }
    }

    /// Reads from the first server that can be connected to.
    async fn read<R: RowReader>(
        &self,
        stop: &Stop,
        question: &Question,
        take: &mut (dyn FnMut(Cells) + Send),
    ) -> Result<(), DrilldownError> {
        let mut reader = until(stop, self.connect::<R>(stop)).await?;
        let answered = until(stop, answer::answer(&mut reader, question, self.few, take)).await;
        match &answered {
            Ok(()) => reader.close().await,
            Err(_) => reader.abandon().await,
        }
        answered
    }

    async fn connect<R: RowReader>(&self, stop: &Stop) -> Result<R, StoreError> {
        let mut problems = Vec::new();
        for server in self.servers.iter() {
            match self.connect_to::<R>(server, stop).await {
                Ok(reader) => return Ok(reader),
                Err(error) => problems.push(error.to_string()),
            }
        }
        Err(StoreError::Unavailable(problems.join("; ")))
    }

    async fn connect_to<R: RowReader>(
        &self,
        server: &Target,
        stop: &Stop,
    ) -> Result<R, StoreError> {
        if self.servers.count() == 1 {
            return R::open(server, stop).await;
        }
        timeout(CONNECT, R::open(server, stop)).await.unwrap_or_else(|_| {
            let text = format!("{server}: no answer in {} s", CONNECT.as_secs());
            Err(StoreError::Unavailable(text))
        })
    }
}

/// Waits for a call until it has to stop.
async fn until<T>(
    stop: &Stop,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, DrilldownError> {
    let result = tokio::select! {
        biased;
        () = stop.cancelled.cancelled() => return Err(DrilldownError::Cancelled),
        () = sleep_until(stop.deadline.into()) => return Err(DrilldownError::TimeLimit),
        result = call => result,
    };
    result.map_err(|error| {
        // The error of a statement that SQLite or a server ended.
        if stop.cancelled.is_cancelled() {
            DrilldownError::Cancelled
        } else if stop.is_due() {
            DrilldownError::TimeLimit
        } else {
            DrilldownError::Database(error.to_string())
        }
    })
}
