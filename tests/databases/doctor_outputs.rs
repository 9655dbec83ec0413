//! `doctor` with outputs: files that the exporter's user cannot write, and receivers that cannot be reached. Needs root.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixDatagram,
    },
    path::Path,
};

use crate::support::{
    Namespace,
    doctor::doctor_with,
    program::{Exporter, open_to_all, samples, wait_for, whole},
};

/// Id of the user nobody.
const NOBODY: u32 = 65534;

fn output(name: &str, target: &str, more: &str) -> String {
    format!("[[output]]\nname = '{name}'\nformat = 'json'\ntarget = '{target}'\n{more}\n")
}

#[test]
fn files_that_the_user_cannot_write_are_reported() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("packets.json");
    let config = |more: &str| output("file", &format!("file://{}", file.display()), more);
    let rotated = config("rotate_size = '1MiB'");
    let path = |path: &Path| format!("the user nobody, which cannot write to {}: ", path.display());

    // The directory belongs to root, so rotated files cannot be renamed there.
    let report = doctor_with(&host, &rotated);
    report.failed("rights", &path(directory.path()));
    report.failed("rights", "set rotate_size and rotate_interval of the output to 0");
    doctor_with(&host, &config("rotate_size = 0")).did_not_fail("rights");

    // So does the file.
    fs::write(&file, "").unwrap();
    chown(directory.path(), Some(NOBODY), None).unwrap();
    let report = doctor_with(&host, &rotated);
    report.failed("rights", &path(&file));
    report.failed("rights", "make it the owner of the file or directory (chown)");
    chown(&file, Some(NOBODY), None).unwrap();
    doctor_with(&host, &rotated).ok("rights", "the user nobody can access all files");
}

#[test]
fn receivers_that_cannot_be_reached_are_reported() {
    let host = Namespace::new("host");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let path = |name: &str| directory.path().join(name);
    let _receiver = UnixDatagram::bind(path("there")).unwrap();
    open_to_all(&path("there"));
    let target = |name: &str| format!("unixgram://{}", path(name).display());
    let config = output("there", &target("there"), "") + &output("missing", &target("missing"), "");
    let exporter = Exporter::start(&host, &config, &[]);
    let are_up = |exporter: &Exporter<'_>, expect: &[(&str, u64)]| {
        let found = samples(&exporter.scrape(), "nflog_exporter_output_up");
        let is_so = |(name, up): &(&str, u64)| {
            found.iter().any(|(labels, value)| labels["output"] == *name && whole(*value) == *up)
        };
        expect.iter().all(is_so).then_some(())
    };
    wait_for("the first output", || are_up(&exporter, &[("there", 1), ("missing", 0)]));
    let report = doctor_with(&host, &config);
    let what = "these outputs of the running exporter accept no rows (nflog_exporter_output_up is 0): missing /";
    report.failed("outputs", what);
    report.failed("outputs", "see its log for the reason");
    let log = exporter.program.log();
    assert!(log.contains("missing: cannot write to unixgram:"), "{log}");

    let _late = UnixDatagram::bind(path("missing")).unwrap();
    open_to_all(&path("missing"));
    wait_for("both outputs", || are_up(&exporter, &[("there", 1), ("missing", 1)]));
    doctor_with(&host, &config).has_none("outputs");
}
