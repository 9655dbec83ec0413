//! Whether a server accepts rows: not read-only, and a synced member of its cluster, if there is one.

use std::collections::HashMap;

use mysql_async::{Conn, prelude::Queryable};

use super::{
    super::{Readiness, StoreError},
    error::failure,
};

/// Settings of the server that a server without Galera lacks, or has with the value `OFF`.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('read_only', 'super_read_only', 'innodb_read_only', 'wsrep_on', 'wsrep_provider')";

/// State of a node (<https://mariadb.com/kb/en/galera-cluster-status-variables/>).
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state', 'wsrep_local_state_comment', 'wsrep_cluster_size')";

/// Values of `wsrep_local_state`.
const DONOR: &str = "2";
const SYNCED: &str = "4";

/// See [`super::super::Store::readiness`].
pub(super) async fn readiness(connection: &mut Conn) -> Result<Readiness, StoreError> {
    let variables = pairs(connection, VARIABLES).await?;
    let status = pairs(connection, STATUS).await?;
    Ok(assess(&variables, &status))
}

/// Names, in lower case, and values.
type Pairs = HashMap<String, String>;

async fn pairs(connection: &mut Conn, statement: &str) -> Result<Pairs, StoreError> {
    let rows: Vec<(String, String)> = connection
        .query(statement)
        .await
        .map_err(|error| failure("ask whether the server accepts rows", &error))?;
    Ok(rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}

fn assess(variables: &Pairs, status: &Pairs) -> Readiness {
    let value = |pairs: &'_ Pairs, name: &str| pairs.get(name).cloned().unwrap_or_default();
    // MariaDB 12 has more values than ON.
    for name in ["super_read_only", "read_only", "innodb_read_only"] {
        let set = value(variables, name);
        if !matches!(&*set.to_ascii_uppercase(), "" | "OFF" | "0") {
            return Readiness::NotReady(format!("MySQL: is read-only ({name} is {set})"));
        }
    }
    let provider = value(variables, "wsrep_provider");
    let is_node = value(variables, "wsrep_on").eq_ignore_ascii_case("ON")
        && !matches!(&*provider, "" | "none");
    if !is_node {
        return Readiness::Ready("accepts writes".into());
    }
    let component = value(status, "wsrep_cluster_status");
    let state = value(status, "wsrep_local_state");
    let name = value(status, "wsrep_local_state_comment");
    if !component.eq_ignore_ascii_case("Primary") {
        return Readiness::NotReady(format!(
            "Galera: the node is not in the primary component (wsrep_cluster_status is {component})"
        ));
    }
    if !value(status, "wsrep_ready").eq_ignore_ascii_case("ON") {
        return Readiness::NotReady(format!(
            "Galera: the node is not ready (wsrep_ready is OFF, its state is {name})"
        ));
    }
    match &*state {
        SYNCED => Readiness::Ready(format!(
            "is a synced node of a Galera cluster of {}",
            value(status, "wsrep_cluster_size")
        )),
        // It certifies and applies all transactions, but others do not wait for it, and it is busy with a copy or a
        // backup. The position is read after waiting for all earlier transactions, so rows are exact here too.
        DONOR => Readiness::Busy(format!("Galera: the node is not synced (its state is {name})")),
        _ => Readiness::NotReady(format!("Galera: the node is not synced (its state is {name})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME=VALUE …`; names of a status begin with `wsrep_`, except two.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let pairs: Pairs = text
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let found = format!("{:?}", assess(&pairs, &pairs));
        assert!(found.starts_with(expect), "{text}: {found}");
    }

    #[test]
    fn servers_without_a_cluster() {
        check("", "Ready");
        check("read_only=OFF super_read_only=OFF innodb_read_only=OFF", "Ready");
        // MariaDB without Galera.
        check(
            "read_only=OFF wsrep_on=OFF wsrep_cluster_status=Disconnected wsrep_ready=OFF",
            "Ready",
        );
        check("wsrep_on=ON wsrep_provider=none wsrep_ready=OFF", "Ready");
        check("read_only=ON", "NotReady(\"MySQL: is read-only (read_only is ON)");
        check("read_only=ON super_read_only=ON", "NotReady(\"MySQL: is read-only (super_read_only");
        check("read_only=NO_LOCK_NO_ADMIN", "NotReady");
        check("innodb_read_only=ON", "NotReady");
    }

    #[test]
    fn nodes_of_a_cluster() {
        let node = "wsrep_on=ON wsrep_provider=/usr/lib/libgalera_smm.so wsrep_cluster_size=3";
        let ready = format!("{node} wsrep_ready=ON wsrep_cluster_status=Primary");
        check(
            &format!("{ready} wsrep_local_state=4"),
            "Ready(\"is a synced node of a Galera cluster of 3",
        );
        check(&format!("{ready} wsrep_local_state=2"), "Busy");
        for state in ["0", "1", "3", "5"] {
            check(&format!("{ready} wsrep_local_state={state}"), "NotReady");
        }
        check(&format!("{ready} wsrep_local_state=4 read_only=ON"), "NotReady(\"MySQL");
        let minority = "wsrep_ready=OFF wsrep_cluster_status=non-Primary wsrep_local_state=0";
        check(&format!("{node} {minority}"), "NotReady(\"Galera: the node is not in the primary");
        let joining = "wsrep_ready=OFF wsrep_cluster_status=Primary wsrep_local_state=1";
        check(&format!("{node} {joining}"), "NotReady(\"Galera: the node is not ready");
    }
}
