//! `migrate --output`: the file is written completely or not at all. Configurations of ulogd 1, and lines that are not used.
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
    process::{Command, Output},
};

const GOOD: &str = "[global]\nstack=l:NFLOG,b:BASE,m:MYSQL\n[l]\ngroup=5\t# x\n[m]\ndb=d\nhost=h\nuser=u\n\
                    pass=secret\ntable=ulog\n";
const BAD: &str = "[global]\nstack=l:NFLOG,b:BASE,m:MYSQL\n[l]\ngroup=x\n";

fn migrate(input: &Path, output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    command.arg("migrate").arg(input).arg("-o").arg(output).output().unwrap()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_file_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("ulogd.conf"), directory.path().join("new.toml"));
    fs::write(&input, GOOD).unwrap();
    let result = migrate(&input, &output);
    let said = String::from_utf8(result.stdout).unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    assert!(said.starts_with(&format!("wrote {}\n", output.display())), "{said}");
    assert!(
        said.contains("\nNot migrated: [m] table=ulog: ") && !said.contains("secret"),
        "{said}"
    );
    assert_eq!(mode(&output), 0o600);
    assert_eq!(names(directory.path()), ["new.toml", "ulogd.conf"]);
    let printed =
        Command::new(env!("CARGO_BIN_EXE_nflog_exporter")).arg("migrate").arg(&input).output();
    assert_eq!(printed.unwrap().stdout, fs::read(&output).unwrap());
    let check = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
        .args(["config", "check", "--config.file"])
        .arg(&output)
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn a_failure_leaves_the_file_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) =
        (directory.path().join("ulogd.conf"), directory.path().join("config.toml"));
    fs::write(&input, BAD).unwrap();
    let check = |expect: &str| {
        let result = migrate(&input, &output);
        assert_eq!(result.status.code(), Some(1));
        assert!(result.stdout.is_empty());
        let said = String::from_utf8(result.stderr).unwrap();
        assert!(said.contains(expect), "{said}");
    };
    check("line 4: [l] group is \"x\", which is not a number");
    assert_eq!(names(directory.path()), ["ulogd.conf"]);
    fs::write(&output, "[nflog]\ngroups = [9]\n").unwrap();
    check("not a number");
    assert_eq!(fs::read_to_string(&output).unwrap(), "[nflog]\ngroups = [9]\n");
    fs::remove_file(&input).unwrap();
    check("cannot read");
    assert_eq!(names(directory.path()), ["config.toml"]);
}

#[test]
fn an_existing_file_keeps_its_owner_and_mode() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("ulogd.conf");
    let (file, link) = (directory.path().join("config.toml"), directory.path().join("link.toml"));
    fs::write(&input, GOOD).unwrap();
    fs::write(&file, "").unwrap();
    chown(&file, Some(0), Some(65534)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("config.toml", &link).unwrap();
    for output in [&file, &link] {
        let before = fs::metadata(&file).unwrap().ino();
        assert!(migrate(&input, output).status.success());
        let after = fs::metadata(&file).unwrap();
        // The file was replaced: a process that opened the previous file can still read it.
        assert_ne!(after.ino(), before);
        assert_eq!((after.uid(), after.gid(), mode(&file)), (0, 65534, 0o640));
        assert!(fs::read_to_string(&file).unwrap().contains("groups = [5]"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(names(directory.path()), ["config.toml", "link.toml", "ulogd.conf"]);
}

#[test]
fn invalid_output_paths_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("ulogd.conf");
    fs::write(&input, GOOD).unwrap();
    for (output, why) in [
        (directory.path().to_owned(), "not a regular file"),
        ("/dev/null".into(), "not a regular file"),
        (input.clone(), "is the ulogd.conf itself"),
        (directory.path().join("missing/config.toml"), "No such file"),
    ] {
        let result = migrate(&input, &output);
        let said = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(fs::read_to_string(&input).unwrap(), GOOD);
    assert_eq!(names(directory.path()), ["ulogd.conf"]);
}

#[test]
fn a_world_readable_file_becomes_private() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) =
        (directory.path().join("ulogd.conf"), directory.path().join("config.toml"));
    fs::write(&input, GOOD).unwrap();
    for (before, after) in [(0o644, 0o600), (0o666, 0o600), (0o400, 0o400), (0o640, 0o640)] {
        fs::write(&output, "").unwrap();
        fs::set_permissions(&output, fs::Permissions::from_mode(before)).unwrap();
        let result = migrate(&input, &output);
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
        assert_eq!(mode(&output), after, "{before:o}");
        fs::remove_file(&output).unwrap();
    }
}

#[test]
fn a_dangling_symbolic_link_is_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("ulogd.conf"), directory.path().join("link.toml"));
    fs::write(&input, GOOD).unwrap();
    symlink("/nonexistent/config.toml", &output).unwrap();
    let result = migrate(&input, &output);
    let said = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(1), "{said}");
    assert!(said.contains("is a symbolic link to /nonexistent/config.toml, which"), "{said}");
    assert_eq!(fs::read_link(&output).unwrap(), Path::new("/nonexistent/config.toml"));
    assert_eq!(names(directory.path()), ["link.toml", "ulogd.conf"]);
}

fn migrate_rules(input: &Path, output: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    let result =
        command.args(["migrate", "--rules"]).arg(input).arg("-o").arg(output).output().unwrap();
    let said = String::from_utf8(result.stderr).unwrap();
    assert!(result.status.success() && result.stdout.is_empty(), "{said}");
    said
}

/// The messages say what was written, and the named commands check and load it.
#[test]
fn written_rules_come_with_the_commands_that_load_them() {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("rules"), directory.path().join("rules.new"));
    let file = output.display();
    for (rules, check, load) in [
        (
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j LOG\nCOMMIT\n",
            "iptables-restore --test < F",
            "iptables-restore < F",
        ),
        (
            "# Generated by ip6tables-save v1\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j LOG\nCOMMIT\n",
            "ip6tables-restore --test < F",
            "ip6tables-restore < F",
        ),
        (
            "*filter\n:ufw-before-input - [0:0]\n-A ufw-before-input -j LOG\nCOMMIT\n",
            "iptables-restore --test --noflush < F",
            "copy it over the file of ufw, then run: ufw reload",
        ),
        (
            "table ip t {\n\tchain c {\n\t\tlog\n\t}\n}\n",
            "nft -c -f F",
            "sed '1i flush ruleset' F | nft -f -",
        ),
    ] {
        fs::write(&input, rules).unwrap();
        let said = migrate_rules(&input, &output);
        let expect = format!(
            "wrote F: all rules of the input, 1 of them with NFLOG in place of LOG or ULOG; nothing was loaded\n\
             check: {check}\nload:  {load}\n"
        );
        assert!(
            said.ends_with(
                &expect.replace('F', &file.to_string()).replace(&format!("N{file}LOG"), "NFLOG")
            ),
            "{said}"
        );
        assert!(said.contains("rules changed: 1; set nflog.groups = [1]\n"), "{said}");
        let written = fs::read_to_string(&output).unwrap();
        assert!(
            written.contains("NFLOG --nflog-group 1") || written.contains("log group 1"),
            "{written}"
        );
        if check.starts_with("nft") {
            let line = check.replace('F', &file.to_string());
            let checked = Command::new("unshare").args(["-n", "sh", "-c", &line]).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}
