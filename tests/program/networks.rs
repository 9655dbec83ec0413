//! Named networks and lists in a replay, and the errors of their files.
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const MIXED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures/mixed.pcap");

fn program(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    command.args(arguments).arg("--config.file").arg(config).output().unwrap()
}

/// The packets of the family `list`, by its labels as in the text.
fn family(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("nflog_list_packets_total{")?.rsplit_once("} "))
        .map(|(labels, count)| (labels.to_owned(), count.parse().unwrap()))
        .collect()
}

fn sum(text: &str, metric: &str, labels: &str) -> u64 {
    let line = |line: &str| {
        let (found, count) = line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} ")?;
        found.contains(labels).then(|| count.parse::<u64>().unwrap())
    };
    text.lines().filter_map(line).sum()
}

#[test]
fn packets_count_for_their_list_and_their_networks() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let replay = || {
        let output = program(&["replay", MIXED], &directory.path().join("config.toml"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    write("config.toml", "");
    let plain = replay();
    let private = sum(&plain, "nflog_country_packets_total", "country=\"private\"");
    let all = sum(&plain, "nflog_country_packets_total", "");
    assert!(private > 0 && private < all, "{plain}");

    let files = directory.path().display();
    write("everything", "0.0.0.0/0\n::/0\n");
    write("nothing", "# no entry\n");
    let networks = "0.0.0.0/0, four, DE, Köln\n::/0, six, DE\n";
    write("networks", networks);
    let config = format!(
        "[networks]\nfile = '{files}/networks'\n[[list]]\nname = 'nothing'\nfile = '{files}/nothing'\n\
         [[list]]\nname = 'all'\nfile = '{files}/everything'\n[[list]]\nname = 'late'\nfile = \
         '{files}/everything'\n[[family]]\nname = 'list'\n\
         labels = ['list', 'source_network_name', 'destination_network_name']\n"
    );
    write("config.toml", &config);
    let text = replay();
    // Packets without an IP header have no remote end.
    let unread = sum(&text, "nflog_country_packets_total", "country=\"unknown\"");
    assert_eq!(sum(&text, "nflog_country_packets_total", "country=\"DE\""), all - unread);
    let found = family(&text);
    let four = r#"list="all",source_network_name="four",destination_network_name="four""#;
    assert!(found.iter().any(|(labels, count)| labels == four && *count > 0), "{found:?}");
    let on_all: u64 =
        found.iter().filter(|(labels, _)| labels.contains("list=\"all\"")).map(|it| it.1).sum();
    assert_eq!(on_all, all - unread, "{found:?}");
    assert!(!text.contains("list=\"late\"}") || !found.iter().any(|it| it.0.contains("late")));
    assert!(text.contains("nflog_exporter_list_entries{list=\"all\"} 2\n"), "{text}");
    assert!(text.contains("nflog_exporter_list_entries{list=\"nothing\"} 0\n"), "{text}");
    assert!(text.contains("nflog_exporter_networks_entries 2\n"), "{text}");
}

#[test]
fn errors_name_the_file_the_line_and_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().display();
    fs::write(directory.path().join("networks"), "# names\n10.0.0.0/8\n").unwrap();
    fs::write(directory.path().join("list"), "192.0.2.0/24\nexample.net\n").unwrap();
    fs::write(directory.path().join("empty"), "").unwrap();
    let file = directory.path().join("config.toml");
    let config = format!(
        "[networks]\nfile = '{files}/networks'\n[[list]]\nname = 'a'\nfile = '{files}/list'\n\
         [[list]]\nname = 'b'\nfile = '{files}/empty'\n[[list]]\nname = 'c'\nfile = '{files}/absent'\n"
    );
    fs::write(&file, config).unwrap();
    let expect = [
        format!(":2: networks.file: {files}/networks:2: expected: prefix, name,"),
        format!(":5: list.a.file: {files}/list:2: invalid entry \"example.net\": use "),
        format!(":8: list.b.file: {files}/empty is empty: "),
        format!(":11: list.c.file: cannot read {files}/absent: "),
    ];
    for arguments in [&["config", "check"][..], &["run"], &["replay", MIXED]] {
        let output = program(arguments, &file);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), expect.len(), "{said}");
        for (line, expect) in lines.iter().zip(&expect) {
            assert!(line.starts_with(&format!("{}{expect}", file.display())), "{line}");
        }
    }
}
