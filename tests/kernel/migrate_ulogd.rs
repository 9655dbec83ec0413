//! `migrate` compared with the real ulogd: hostile files, and the groups that ulogd reads according to the kernel.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::netns::Namespace;

const DEADLINE: Duration = Duration::from_secs(20);

/// A `ulogd.conf` with this section of the plugin NFLOG.
fn with_section(section: &[u8]) -> Vec<u8> {
    let before =
        b"[global]\nlogfile=\"stdout\"\nstack=l:NFLOG,g:GPRINT\n[g]\nfile=\"/dev/null\"\n[l]\n";
    [&before[..], section, b"\n"].concat()
}

/// Ends ulogd, also if an assertion fails.
struct Ulogd(Child);

impl Drop for Ulogd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The groups that the real ulogd reads with this configuration; none if it exits.
fn groups_of_ulogd(namespace: &Namespace, text: &[u8]) -> Vec<u16> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ulogd.conf");
    fs::write(&file, text).unwrap();
    let log = fs::File::create(directory.path().join("log")).unwrap();
    let mut command = namespace.command("ulogd");
    command
        .args(["-l", "3", "-c"])
        .arg(&file)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null());
    let mut ulogd = Ulogd(command.spawn().expect("install ulogd2"));
    let said = || fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    let start = Instant::now();
    // It logs this line after it has created all stacks.
    while !said().contains("entering main loop") {
        if ulogd.0.try_wait().unwrap().is_some() {
            return Vec::new();
        }
        assert!(start.elapsed() < DEADLINE, "timeout: ulogd does not start: {}", said());
        std::thread::sleep(Duration::from_millis(5));
    }
    let groups = bound(namespace);
    namespace.release(ulogd);
    groups
}

/// The groups that have a reader according to the kernel.
fn bound(namespace: &Namespace) -> Vec<u16> {
    let lines = namespace
        .run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").unwrap());
    lines.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

/// The groups of the configuration that `migrate` prints, or its error.
fn groups_of_migrate(text: &[u8]) -> Result<Vec<u16>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ulogd.conf");
    fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_nflog_exporter");
    let output = Command::new(program).arg("migrate").arg(&file).output().unwrap();
    if !output.status.success() {
        assert!(output.stdout.is_empty());
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let toml = String::from_utf8(output.stdout).unwrap();
    let mut groups = nflog_exporter::config::parse(&toml, "ulogd.conf").unwrap().nflog.groups;
    groups.sort_unstable();
    Ok(groups)
}

/// `migrate` reads what ulogd reads, and rejects values that ulogd guesses.
#[test]
fn groups_are_those_that_ulogd_reads() {
    let namespace = Namespace::new("ulogd");
    let mut failures = Vec::new();
    let mut check = |text: &[u8], is_readable: bool| {
        let (theirs, ours) = (groups_of_ulogd(&namespace, text), groups_of_migrate(text));
        let agrees = match &ours {
            Ok(groups) => is_readable && *groups == theirs,
            Err(_) => !is_readable,
        };
        if !agrees {
            failures.push(format!("{}\nulogd: {theirs:?}, migrate: {ours:?}", text.escape_ascii()));
        }
    };
    let sections: [&[u8]; 38] = [
        b"group=5\t# x",
        b"group=0x05",
        b"group=5# x",
        b"group=5 ; x",
        b"group 5",
        b"group = 5",
        b"group\t=\t5",
        b"group==5",
        b"group=\"5\"",
        b"group=\"5\"x",
        b"group=\" 5\"",
        b"group=\"5 6\"",
        b"\"group\"=5",
        b"  group=5",
        b"group=010",
        b"group=08",
        b"group=0X1f",
        b"group=0xg",
        b"group=+5",
        b"group=5x7",
        b"group=5,6",
        b"group=0b101",
        b"group=5\r",
        b"group=5\ngroup=6",
        b"group=5\n[x]\ngroup=6",
        b"group=5\n[l]\ngroup=6",
        b"#group=5",
        b" #group=5",
        b" # group=5",
        b";group=5",
        b"x\"group\"=7",
        b"[group]=5",
        b"\"[x\"\ngroup=6",
        b"groups=5",
        b"Group=5",
        b"",
        b"netlink_qthreshold=1\n\n  \ngroup=7",
        b"group=65535",
    ];
    for section in sections {
        check(&with_section(section), true);
    }
    let unreadable: [&[u8]; 9] = [
        b"group=",
        b"group",
        b"group=x",
        b"group=\"5",
        b"group=\"\"",
        b"group=-1",
        b"group=65537",
        b"group=99999999999999999999",
        b"group=4294967301",
    ];
    for section in unreadable {
        check(&with_section(section), false);
    }
    let comment = [b"#".repeat(254), b"group=6".to_vec()].concat();
    check(&with_section(&comment), true);
    let longest = [b"x=".to_vec(), b"y".repeat(251), b"\ngroup=6".to_vec()].concat();
    check(&with_section(&longest), true);
    let too_long = [b"x=".to_vec(), b"y".repeat(252), b"\ngroup=6".to_vec()].concat();
    check(&with_section(&too_long), false);
    check(&with_section(b"x\0y\ngroup=6"), false);
    check(with_section(b"group=6").trim_ascii_end(), false);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `migrate` converts the stacks that ulogd starts.
#[test]
fn stacks_are_those_that_ulogd_starts() {
    let namespace = Namespace::new("stacks");
    let plugins = "/usr/lib/x86_64-linux-gnu/ulogd";
    assert!(Path::new(plugins).is_dir(), "install ulogd2");
    let rest = "\n[g]\nfile=\"/dev/null\"\n[l]\ngroup=6\n[m]\ngroup=7\n";
    let (input, output) = (
        format!("plugin={plugins}/ulogd_inppkt_NFLOG.so"),
        format!("plugin={plugins}/ulogd_output_GPRINT.so"),
    );
    let lines = [
        "stack=l:NFLOG,g:GPRINT".to_owned(),
        "stack l:NFLOG,g:GPRINT # x".to_owned(),
        "stack=\"l:NFLOG,g:GPRINT\"".to_owned(),
        "stack=l:NFLOG,,g:GPRINT,".to_owned(),
        "stack=l:NFLOG,g:GPRINT\nstack=m:NFLOG,g:GPRINT".to_owned(),
        "stack=l:NFLOG,g:GPRINT\nstack=m:NFLOG, g:GPRINT".to_owned(),
        "stack=l:NFLOG, g:GPRINT".to_owned(),
        "stack=l:NFLOG".to_owned(),
        "stack=l:NFLOG,GPRINT".to_owned(),
        format!("stack=l:NFLOG,g:GPRINT\n{input}\n{output}"),
        format!("{output}\nstack=l:NFLOG,g:GPRINT"),
        "[x]\nstack=l:NFLOG,g:GPRINT".to_owned(),
        "[global]\nstack=l:NFLOG,g:GPRINT".to_owned(),
    ];
    for lines in lines {
        let text = format!("[global]\nlogfile=\"stdout\"\n{lines}{rest}");
        let theirs = groups_of_ulogd(&namespace, text.as_bytes());
        let ours = groups_of_migrate(text.as_bytes()).unwrap_or_default();
        assert_eq!(ours, theirs, "{lines}");
    }
    let without = format!("logfile=\"stdout\"\nstack=l:NFLOG,g:GPRINT{rest}");
    assert_eq!(groups_of_ulogd(&namespace, without.as_bytes()), [0; 0]);
    assert!(groups_of_migrate(without.as_bytes()).unwrap_err().contains("no section [global]"));
}

/// Each stack of the example that Debian installs gives a configuration, or a reason.
#[test]
fn every_stack_of_debians_example_is_converted_or_rejected() {
    let example = fs::read_to_string("/etc/ulogd.conf").expect("install ulogd2");
    let stacks: Vec<_> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix("stack="))
        .collect();
    assert!(stacks.len() > 20, "{stacks:?}");
    for stack in stacks {
        let others = example.replace("\nstack=", "\n#stack=");
        let text = others.replacen("[ct1]", &format!("stack={stack}\n[ct1]"), 1);
        match groups_of_migrate(text.as_bytes()) {
            Ok(groups) => {
                assert!(stack.contains(":NFLOG,"), "{stack}");
                let group = match &stack[..4] {
                    "log1" => 0,
                    "log2" => 1,
                    _ => 2,
                };
                assert_eq!(groups, [group], "{stack}");
            }
            Err(error) => {
                let why = [
                    "NFCT reports connections",
                    "NFACCT reads",
                    "UNIXSOCK receives",
                    "has no ULOG",
                ];
                assert!(!stack.contains(":NFLOG,"), "{stack}: {error}");
                assert!(why.iter().any(|why| error.contains(why)), "{stack}: {error}");
            }
        }
    }
}
