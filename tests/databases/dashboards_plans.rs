//! Query plans of the drill-down dashboards: they use an index and do not read rows.
//! Requires MariaDB and PostgreSQL of Debian's packages.

use nflog_exporter::mirror::{
    Target,
    store::{MySql, Postgres, Store},
};

use crate::support::{
    dashboards::{Choice, Dashboard, fill},
    mariadb::MariaDb,
    postgres_server::PostgresServer,
    sample_rows::{NOON, crowd, fill_store},
};

/// Rows of the last minutes before noon, which are in the time range of the dashboards.
const ROWS: u32 = 60_000;

/// Panels that read rows: the newest ones by time.
const READS_ROWS: [&str; 1] = ["Packets"];

async fn filled<S: Store>(target: &Target) {
    let rows: Vec<_> = crowd(ROWS.into(), NOON - 290_000_000, 289_000_000).collect();
    fill_store::<S>(target, &rows).await;
}

fn dashboard(file: &str) -> Dashboard {
    Dashboard::all().into_iter().find(|dashboard| dashboard.file == file).unwrap()
}

/// Panels that group the rows of each source first.
const GROUPS_SOURCES: [&str; 3] = ["Where packets come from", "Top countries", "Top networks"];

/// The title of each panel, and the plan of its statement, which reads this index if it names one.
fn plans(file: &str, index: &str, explain: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let dashboard = dashboard(file);
    let nothing = vec!["-".to_owned()];
    let choice = Choice::from([
        ("network_first", nothing.clone()),
        ("network_last", nothing),
        ("index", vec![index.to_owned()]),
    ]);
    let plans: Vec<_> = dashboard
        .targets()
        .iter()
        .map(|query| {
            let title = query.place.split_once(": ").unwrap().1.to_owned();
            (title, explain(&fill(&dashboard, query, &choice, NOON / 1_000_000)))
        })
        .filter(|(title, _)| !READS_ROWS.contains(&title.as_str()))
        .collect();
    assert!(plans.len() >= 9, "{plans:?}");
    plans
}

/// The steps of a plan of MariaDB that read packets.
fn steps(plan: &str) -> Vec<Vec<&str>> {
    // Columns: id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra.
    let steps = plan.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    steps.filter(|step| step[2] == "packets").collect()
}

#[tokio::test]
async fn mariadb_reads_only_the_index() {
    let server = MariaDb::shared();
    let database = server.database();
    filled::<MySql>(&server.target(&database)).await;
    server.query(&database, "ANALYZE TABLE packets");
    let explain = |sql: &str| server.query(&database, &format!("EXPLAIN {sql}"));
    for (title, plan) in plans("drilldown-mysql.json", "by_source", explain) {
        let (lookups, others): (Vec<_>, Vec<_>) =
            steps(&plan).into_iter().partition(|step| step[1] == "DEPENDENT SUBQUERY");
        // Whether there are rows of the period before: ends with the first one.
        let (exist, scans): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|step| step[1] == "SUBQUERY" && step[5] == "PRIMARY");
        for step in exist {
            assert_eq!(step[3], "range", "{title}\n{plan}");
        }
        assert!(!scans.is_empty(), "{title}\n{plan}");
        for scan in scans {
            assert_eq!(scan[5], "by_source", "{title}\n{plan}");
            assert!(scan[9].contains("Using index"), "{title}\n{plan}");
            // With more groups than fit in memory, each row would change a table on disk.
            let is_grouped_in_order = !scan[9].contains("Using temporary");
            let may_be_temporary = !GROUPS_SOURCES.contains(&title.as_str());
            assert!(is_grouped_in_order || may_be_temporary, "{title}\n{plan}");
        }
        // The city of a place or a source: a few rows with the same time. What is new: rows of a source or a country.
        for lookup in lookups {
            let key = match &*title {
                "Top countries" => ["by_country"].as_slice(),
                "Top sources" => &["PRIMARY", "by_source"],
                _ => &["PRIMARY"],
            };
            assert!(lookup[3] == "ref" && key.contains(&lookup[5]), "{title}\n{plan}");
        }
    }
    // Of a short time range, the rows of this time instead of an index with those of a whole day.
    for (title, plan) in plans("drilldown-mysql.json", "PRIMARY", explain) {
        for step in steps(&plan).iter().filter(|step| step[1] != "DEPENDENT SUBQUERY") {
            assert!(["range", "ref"].contains(&step[3]), "{title}\n{plan}");
            assert_eq!(step[5], "PRIMARY", "{title}\n{plan}");
        }
    }
}

#[tokio::test]
async fn postgres_groups_sources_in_the_order_of_the_index() {
    let server = PostgresServer::shared();
    let database = server.database();
    filled::<Postgres>(&server.target(&database)).await;
    server.psql(&database, "VACUUM ANALYZE packets");
    // Whether reading rows is cheaper depends on their number and the pages on disk; this test checks that
    // the index can answer alone.
    let only = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_indexscan = off";
    let explain = |sql: &str| server.psql(&database, &format!("{only}; EXPLAIN {sql}"));
    for (title, plan) in plans("drilldown-postgres.json", "", explain) {
        // Not grouped by source: PostgreSQL reads the rows, in parallel.
        if title == "Packets over time" {
            continue;
        }
        let used = plan.contains("Index Only Scan using packets_p20261123_source_");
        assert!(used, "{title}\n{plan}");
    }
}

#[tokio::test]
async fn postgres_reads_the_newest_packets_by_time() {
    let server = PostgresServer::shared();
    let database = server.database();
    filled::<Postgres>(&server.target(&database)).await;
    server.psql(&database, "VACUUM ANALYZE packets");
    let dashboard = dashboard("drilldown-postgres.json");
    let packets = dashboard.targets().into_iter().find(|query| query.place.ends_with(": Packets"));
    for country in [None, Some("other")] {
        let mut choice = Choice::new();
        choice.extend(country.map(|country| ("country", vec![country.to_owned()])));
        let sql = fill(&dashboard, packets.as_ref().unwrap(), &choice, NOON / 1_000_000);
        let plan = server.psql(&database, &format!("EXPLAIN {sql}"));
        let is_by_time = plan.contains("Index Scan Backward using packets_p20261123_time_idx");
        assert!(is_by_time && !plan.contains("Seq Scan on packets_p20261123"), "{plan}");
    }
}
