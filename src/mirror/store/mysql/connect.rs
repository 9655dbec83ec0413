//! Connects: endpoint, encryption, and settings of the session.

use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder, SslOpts, prelude::Queryable};
use tokio::time::timeout;

use super::{
    super::{StoreError, tls::authorities},
    error::{code, failure},
};
use crate::mirror::target::{Endpoint, Target, Tls};

/// Timeout for a connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Interval of TCP keepalives.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Sets how long a statement waits for a table: another host's change of partitions can take seconds.
pub(super) const TABLE_WAIT: &str = "SET SESSION lock_wait_timeout = 10";

/// Settings of the session. A server that lacks some of them (a cluster, a proxy) is used without.
const SETTINGS: [&str; 7] = [
    "SET SESSION time_zone = '+00:00'",
    // With READ COMMITTED, a server that writes statements to its binary log rejects inserts (1665).
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    // The transaction of a lost connection must not hold its locks for the default of eight hours.
    "SET SESSION wait_timeout = 60",
    "SET SESSION innodb_lock_wait_timeout = 10",
    TABLE_WAIT,
    // Otherwise MySQL 8 reports sizes of up to a day ago.
    "SET SESSION information_schema_stats_expiry = 0",
];

pub(in crate::mirror) async fn connect(target: &Target) -> Result<Conn, StoreError> {
    let connected = timeout(TIMEOUT, Conn::new(options(target)?)).await.map_err(|_| {
        let seconds = TIMEOUT.as_secs();
        StoreError::Unavailable(format!(
            "MySQL: cannot connect to {target}: no answer in {seconds} s"
        ))
    })?;
    let mut connection = connected.map_err(|error| connect_failure(target, &error))?;
    for setting in SETTINGS {
        set(&mut connection, setting).await?;
    }
    Ok(connection)
}

/// Changes a setting of the session, except on a server that does not have it.
pub(super) async fn set(connection: &mut Conn, setting: &str) -> Result<(), StoreError> {
    match connection.query_drop(setting).await {
        Ok(()) => Ok(()),
        Err(error @ mysql_async::Error::Server(_)) => {
            tracing::debug!(%setting, %error, "the database rejects a session setting");
            Ok(())
        }
        Err(error) => Err(failure("set up the session", &error)),
    }
}

/// The error of a connection attempt. A server that requires TLS does not say so: MariaDB reports that access
/// is denied (1045).
fn connect_failure(target: &Target, error: &mysql_async::Error) -> StoreError {
    let failure = failure(&format!("connect to {target}"), error);
    match failure {
        StoreError::Denied(text) if may_require_tls(target, error) => StoreError::Denied(format!(
            "{text}; if the server requires TLS (require_secure_transport, REQUIRE SSL), add \
             ssl-mode=REQUIRED to the URL"
        )),
        failure => failure,
    }
}

/// Whether this may be the answer to a connection without TLS (`ER_ACCESS_DENIED_ERROR`,
/// `ER_SECURE_TRANSPORT_REQUIRED` of MySQL and of MariaDB).
fn may_require_tls(target: &Target, error: &mysql_async::Error) -> bool {
    let is_plain = target.tls == Tls::Off && matches!(target.endpoint, Endpoint::Tcp { .. });
    is_plain && matches!(code(error), Some(1045 | 3159 | 4151))
}

fn options(target: &Target) -> Result<Opts, StoreError> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let builder = OptsBuilder::default()
        .user(some(&target.user))
        .pass(some(&target.password))
        .db_name(some(&target.database))
        // Counts matched rows rather than changed ones: a position may keep its value.
        .client_found_rows(true)
        // Otherwise the driver switches from a server on loopback to its socket.
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE))
        .tcp_nodelay(true);
    let builder = match &target.endpoint {
        Endpoint::Tcp { host, port } => {
            builder.ip_or_hostname(host).tcp_port(*port).ssl_opts(encryption(&target.tls)?)
        }
        Endpoint::Socket { path, .. } => {
            let path = path.to_str().ok_or_else(|| {
                StoreError::Denied(format!(
                    "MySQL: the socket's path {} is not UTF-8",
                    path.display()
                ))
            })?;
            builder.socket(Some(path))
        }
        Endpoint::File(path) => {
            return Err(StoreError::Denied(format!(
                "MySQL: {} is a file, not a server",
                path.display()
            )));
        }
    };
    Ok(builder.into())
}

fn encryption(tls: &Tls) -> Result<Option<SslOpts>, StoreError> {
    let roots = match tls {
        Tls::Off => return Ok(None),
        // The driver creates no verifier without built-in authorities, although it does not use them.
        Tls::Unverified => {
            return Ok(Some(SslOpts::default().with_danger_accept_invalid_certs(true)));
        }
        Tls::Verified { roots } => authorities(roots.as_deref())?,
    };
    let roots = roots.into_iter().map(|root| root.as_ref().to_vec().into()).collect();
    Ok(Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots)))
}
