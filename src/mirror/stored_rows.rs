//! Reads the rows of a period from the mirror's database.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    day::LATEST,
    row::Row,
    row_selection::RowSelection,
    store::{Kind, StoreError, read_clickhouse, read_mysql, read_postgres, read_sqlite},
    target::{Servers, Target},
};

/// Time without a row after which a server counts as silent. A server can need a while until the first one.
const SILENCE: Duration = Duration::from_secs(120);

/// Passes the selected rows of the first server that can be read to `take`, in any order and one by
/// one: memory does not grow with their number. Creates neither a file nor a table. Only the fields that a report needs
/// are set.
///
/// # Errors
/// No server can be read, a server failed or sent nothing for two minutes after its first rows, or a row is invalid.
pub async fn read_rows(
    servers: &Servers,
    RowSelection { period, hosts }: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    // Databases have no later times.
    let period = *period.start()..=(*period.end()).min(LATEST);
    let mut problems = Vec::new();
    for server in servers.iter() {
        let mut has_rows = false;
        let mut pass = |row| {
            has_rows = true;
            take(row);
        };
        let selection = RowSelection { period: period.clone(), hosts };
        match read_from(server, selection, &mut pass).await {
            Err(error) if !has_rows && servers.count() > 1 => {
                problems.push(format!("{server}: {error}"));
            }
            read => return read,
        }
    }
    Err(StoreError::Unavailable(problems.join("; ")))
}

async fn read_from(
    target: &Target,
    selection: RowSelection<'_>,
    take: &mut (dyn FnMut(Row) + Send),
) -> Result<(), StoreError> {
    let rows = AtomicU64::new(0);
    let mut take = |row| {
        rows.fetch_add(1, Ordering::Relaxed);
        take(row);
    };
    let read = async {
        match target.kind {
            Kind::MySql => read_mysql(target, selection, &mut take).await,
            Kind::Postgres => read_postgres(target, selection, &mut take).await,
            Kind::Sqlite => read_sqlite(target, selection, &mut take).await,
            Kind::ClickHouse => read_clickhouse(target, selection, &mut take).await,
        }
    };
    let mut read = pin!(read);
    loop {
        let before = rows.load(Ordering::Relaxed);
        match timeout(SILENCE, &mut read).await {
            Ok(result) => return result,
            Err(_) if rows.load(Ordering::Relaxed) == before => {
                return Err(StoreError::Unavailable(format!(
                    "{target} sent no row for {} s: check the server and the network, or choose a shorter period",
                    SILENCE.as_secs()
                )));
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::target::{Endpoint, Tls};

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for kind in [Kind::MySql, Kind::Postgres, Kind::ClickHouse] {
            let target = Target {
                kind,
                endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port },
                user: "u".into(),
                password: String::new(),
                database: "d".into(),
                tls: Tls::Off,
            };
            let selection = RowSelection { period: 0..=1, hosts: &[] };
            let error =
                read_rows(&target.into(), selection, &mut drop).await.unwrap_err().to_string();
            // Some databases have a limit of their own for the connection.
            let is_silent = ["no answer in 10 s", "sent no row for 120 s"];
            assert!(is_silent.iter().any(|text| error.contains(text)), "{error}");
        }
    }
}
