//! Which tables are sources, and who can use the target afterwards.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
};

use super::{Database, copy, rejected, shipped};
use crate::support::{
    Namespace,
    program::{Exporter, sum, wait_for},
};

/// Id of the user nobody and of its group.
const NOBODY: u32 = 65534;

/// Other spellings of a URL are the same source, ulogd's own database can be the target, and our views no source.
#[test]
fn own_rows_are_never_copied() {
    for (database, schema) in [
        (Database::maria(), "mysql-ulogd2.sql"),
        (Database::maria(), "mysql-ulogd2-flat.sql"),
        (Database::postgres(), "pgsql-ulogd2.sql"),
        (Database::postgres(), "pgsql-ulogd2-flat.sql"),
    ] {
        database.load(&shipped(schema));
        database.load("INSERT INTO ulog2 (oob_time_sec, oob_prefix) VALUES (1795889420, 'one')");
        for rows in [1, 0] {
            let said = copy(&database.url(), &database.url(), &[]);
            assert!(said.starts_with(&format!("copied {rows} rows of ulog2 from ")), "{said}");
        }
        assert_eq!(database.count(), 1);
    }
    for database in [Database::maria(), Database::postgres(), Database::sqlite()] {
        let empty = Database::sqlite();
        empty.load("CREATE TABLE ulog (oob_time_sec, oob_prefix); INSERT INTO ulog VALUES (1795889420, 'one')");
        copy(&empty.url(), &database.url(), &[]);
        let other = Database::sqlite();
        for to in [&database, &other] {
            let why = rejected(&database.url(), &to.url(), &[]);
            assert!(why.contains(" has no table of ulogd: none of "), "{why}");
            let why = rejected(&database.url(), &to.url(), &["--table", "ulog2"]);
            assert!(why.contains("ulog2 of ") && why.contains(" is a view; "), "{why}");
            for table in ["packets", "ulog"] {
                let why = rejected(&database.url(), &to.url(), &["--table", table]);
                assert!(why.contains(": its rows are in `packets` already"), "{table}: {why}");
            }
            let why = rejected(&database.url(), &to.url(), &["--table", "none"]);
            assert!(why.contains(" has no table none; check the name"), "{why}");
        }
        assert_eq!(database.count(), 1);
    }
}

/// Root copies the rows, and the exporter continues the file as its own user.
#[test]
fn the_exporter_can_use_a_file_that_root_created() {
    let from = Database::sqlite();
    from.load(
        "CREATE TABLE ulog (_id INTEGER PRIMARY KEY, oob_time_sec INT, oob_prefix TEXT); \
         INSERT INTO ulog VALUES (1, 1795889420, 'old')",
    );
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let owned = directory.path().join("owned");
    fs::create_dir(&owned).unwrap();
    chown(&owned, Some(NOBODY), Some(NOBODY)).unwrap();
    // In the directory, and in a new one below it.
    for file in [owned.join("rows.db"), owned.join("new/deep/rows.db")] {
        let to = format!("sqlite:{}", file.display());
        copy(&from.url(), &to, &[]);
        for path in file.ancestors().take_while(|path| path.starts_with(&owned)) {
            let about = fs::metadata(path).unwrap();
            assert_eq!((about.uid(), about.gid()), (NOBODY, NOBODY), "{}", path.display());
        }
        let host = Namespace::new("host");
        let config = format!(
            "[privileges]\nuser = 'nobody'\n[mirror]\nurl = '{to}'\nspool.directory = '{}/spool'\n",
            directory.path().display()
        );
        let exporter = Exporter::start(&host, &config, &[]);
        wait_for("the mirror", || {
            (sum(&exporter.scrape(), "nflog_exporter_mirror_up") == 1).then_some(())
        });
    }
    // A file that the exporter cannot open is named with its cause.
    let file = owned.join("rows.db");
    chown(&file, Some(0), Some(0)).unwrap();
    let host = Namespace::new("host");
    let config = format!(
        "[mirror]\nurl = 'sqlite:{}'\nspool.directory = '{}/spool'\nspool.other_target = 'drop'\n",
        file.display(),
        directory.path().display()
    );
    let exporter = Exporter::start(&host, &config, &[]);
    wait_for("the log line", || {
        let log = exporter.program.log();
        let names_the_file = log.contains(&format!("SQLite {}: cannot ", file.display()))
            && log.contains("can write to the directory and to the file");
        names_the_file.then_some(())
    });
}
