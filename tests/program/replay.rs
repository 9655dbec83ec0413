//! The program on capture files: the whole scrape as a golden file, errors, warnings and signals.
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{golden::check_golden, program::run_with_input};

/// 189 packets recorded with tcpdump from a group of a real kernel: four rules of nftables and one
/// of iptables with a hostile prefix, ssh attempts, a port scan, pings, fragments, unusual
/// protocols, packets sent by the host, one ARP.
const MIXED: &str = "tests/data/captures/mixed.pcap";
const MIXED_PACKETS: u64 = 189;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn program(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"));
    run_with_input(command.args(arguments).current_dir(root()), input)
}

/// The metrics of a replay that succeeds.
fn metrics(arguments: &[&str], input: &[u8]) -> String {
    let output = program(&[&["replay"], arguments].concat(), input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Removes values that differ between runs.
fn stable(text: &str) -> String {
    let varies = |line: &&str| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        !name.starts_with("process_")
            && !name.starts_with("nflog_exporter_config_last_reload_success_timestamp_seconds ")
    };
    text.lines().filter(varies).flat_map(|line| [line, "\n"]).collect()
}

fn value(text: &str, sample: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not in\n{text}")).parse().unwrap()
}

fn sum(text: &str, metric: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} "))
        .map(|(_, value)| value.parse::<u64>().unwrap())
        .sum()
}

fn check_conservation(text: &str, family: &str, metric: &str) {
    let of_family = |name: &str| value(text, &format!("{name}{{family=\"{family}\"}}"));
    let retired = of_family("nflog_exporter_retired_packets_total");
    let pending = of_family("nflog_exporter_pending_packets");
    let received = sum(text, "nflog_exporter_received_packets_total");
    assert_eq!(sum(text, metric) + retired + pending, received, "{family}");
}

#[test]
fn the_scrape_matches_the_golden_file() {
    let text = metrics(&[MIXED], &[]);
    check_conservation(&text, "traffic", "nflog_packets_total");
    check_conservation(&text, "network", "nflog_network_packets_total");
    check_conservation(&text, "country", "nflog_country_packets_total");
    check_golden("tests/data/captures/mixed.metrics", &stable(&text));
}

/// One family for every dimension, with such small budgets that most of them fold.
#[test]
fn the_scrape_of_every_dimension_matches_the_golden_file() {
    let config = "tests/data/captures/dimensions.toml";
    let text = metrics(&["--config.file", config, MIXED], &[]);
    let families = fs::read_to_string(root().join(config)).unwrap();
    for name in families.lines().filter_map(|line| line.strip_prefix("name = \"")) {
        let name = name.trim_end_matches('"');
        let infix = if name == "traffic" { String::new() } else { format!("{name}_") };
        check_conservation(&text, name, &format!("nflog_{infix}packets_total"));
    }
    check_golden("tests/data/captures/dimensions.metrics", &stable(&text));
}

#[test]
fn promtool_accepts_the_metrics() {
    let text = metrics(&[MIXED], &[]);
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: install Prometheus");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn standard_input_and_several_files_add_up() {
    let capture = fs::read(root().join(MIXED)).unwrap();
    let text = metrics(&["-"], &capture);
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), MIXED_PACKETS);
    let text = metrics(&[MIXED, "-", MIXED], &capture);
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), 3 * MIXED_PACKETS);
}

#[test]
fn a_truncated_file_is_counted_up_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let cut: PathBuf = directory.path().join("cut.pcap");
    let capture = fs::read(root().join(MIXED)).unwrap();
    fs::write(&cut, &capture[..capture.len() - 7]).unwrap();
    let output = program(&["replay", cut.to_str().unwrap(), "missing.pcap", MIXED], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), 2 * MIXED_PACKETS - 1);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cut.pcap") && said.contains("missing.pcap"), "{said}");
}

/// A file that is not a capture is an error and prints no metrics. With captures, the file is named and they are counted.
#[test]
fn a_file_that_is_not_a_capture_prints_no_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let log =
        file("kern.log", "Nov 28 08:00:00 host kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1\n");
    let empty = file("empty.pcap", "");
    let missing = directory.path().join("missing.pcap").to_str().unwrap().to_owned();
    let directory = directory.path().to_str().unwrap().to_owned();
    let cases = [
        (
            "/etc/passwd",
            "neither a capture (pcap, pcapng) nor a log with packets of a firewall: none of its",
        ),
        (
            &*log,
            "neither a capture (pcap, pcapng) nor a log with packets of a firewall: none of its 1 lines",
        ),
        (&*empty, "not a pcap or pcapng file (it is empty); "),
        (&*missing, "cannot open the capture: No such file"),
        (&*directory, "cannot open the capture: is a directory"),
    ];
    for (path, why) in cases {
        for serve in [&[][..], &["--serve", "--web.listen-address", "127.0.0.1:0"]] {
            let output = program(&[&["replay", path], serve].concat(), &[]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(output.stdout.is_empty(), "{path}");
            assert!(
                said.contains(&format!("\nnflog_exporter: replay: {path}: {why}"))
                    || said.starts_with(&format!("nflog_exporter: replay: {path}: {why}")),
                "{said}"
            );
        }
    }
    let paths: Vec<_> = cases.iter().map(|(path, _)| *path).collect();
    let none = program(&[&["replay"], &*paths].concat(), &[]);
    assert!(none.stdout.is_empty() && none.status.code() == Some(1));
    let all = program(&[&["replay"], &*paths, &[MIXED]].concat(), &[]);
    assert_eq!(all.status.code(), Some(1));
    let text = String::from_utf8(all.stdout).unwrap();
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), MIXED_PACKETS);
    for output in [&none.stderr, &all.stderr] {
        let said = String::from_utf8_lossy(output);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), cases.len(), "{said}");
        for ((path, why), line) in cases.iter().zip(lines) {
            assert!(line.starts_with(&format!("nflog_exporter: replay: {path}: {why}")), "{said}");
        }
    }
}

#[test]
fn a_replay_is_deterministic() {
    assert_eq!(stable(&metrics(&[MIXED], &[])), stable(&metrics(&[MIXED], &[])));
}

/// As under `tcpdump -w - | nflog_exporter replay -`, ended with Ctrl-C.
#[test]
fn an_interrupted_replay_prints_the_metrics_so_far() {
    let capture = fs::read(root().join(MIXED)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nflog_exporter"))
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&capture).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let unread = || rustix::io::ioctl_fionread(&stdin).unwrap();
    while unread() > 0 {
        assert!(Instant::now() < deadline, "the capture is not read");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), MIXED_PACKETS);
}

/// The metrics of every link layer: packets to tcp/22, tcp/443 and udp/53, and others.
#[test]
fn every_link_layer_is_decoded() {
    for (file, tcp22, tcp443, udp53, other) in [
        ("e_mpls1.pcap", 1, 0, 0, 0),
        ("e_pppoe_ip4.pcap", 1, 0, 0, 0),
        ("e_pppoe_vlan7.pcap", 1, 0, 0, 0),
        ("e_vlan_x5.pcap", 1, 0, 0, 0),
        ("legacy_be_modified.pcap", 1, 1, 1, 0),
        ("lt009_ppp.pcap", 2, 1, 0, 0),
        ("lt104_chdlc.pcap", 1, 1, 0, 0),
        ("lt105_wlan.pcap", 2, 0, 0, 1),
        ("lt109_enc.pcap", 1, 0, 0, 0),
        ("lt113_sll_pppoe.pcap", 1, 0, 0, 0),
        ("lt117_pflog.pcap", 1, 1, 0, 0),
        ("lt127_radiotap.pcap", 2, 0, 0, 1),
        ("ng_eth_radiotap_bt.pcapng", 3, 0, 5, 1),
    ] {
        let text = metrics(&[&format!("tests/data/captures/links/{file}")], &[]);
        let port = |proto, port| {
            let labels = [format!("proto=\"{proto}\""), format!("port=\"{port}\"")];
            let of_port = |line: &&str| {
                line.starts_with("nflog_packets_total{")
                    && labels.iter().all(|label| line.contains(label))
            };
            let values = text.lines().filter(of_port).map(|line| line.rsplit_once(' ').unwrap().1);
            values.map(|value| value.parse::<u64>().unwrap()).sum::<u64>()
        };
        assert_eq!(
            (port("tcp", "22"), port("tcp", "443"), port("udp", "53")),
            (tcp22, tcp443, udp53),
            "{file}\n{text}"
        );
        let undecoded = |reason| {
            value(&text, &format!("nflog_exporter_undecoded_packets_total{{reason=\"{reason}\"}}"))
        };
        assert_eq!(undecoded("not_ip"), other, "{file}");
        assert_eq!(undecoded("link_type") + undecoded("truncated") + undecoded("malformed"), 0);
    }
}

/// A pcapng file with an Ethernet and a Bluetooth interface, one frame of the latter in the middle.
fn mixed_interfaces() -> Vec<u8> {
    let file = "tests/data/captures/links/ng_eth_radiotap_bt.pcapng";
    let mut bytes = fs::read(root().join(file)).unwrap();
    // The block of the frame of the second interface, which becomes one of the third.
    let block = [6, 0, 0, 0, 0x40, 0, 0, 0, 1, 0, 0, 0];
    let at = bytes.windows(block.len()).position(|window| window == block).unwrap();
    bytes[at + 8] = 2;
    bytes
}

#[test]
fn a_frame_of_an_unsupported_link_type_does_not_end_a_replay() {
    let output = program(&["replay", "-"], &mixed_interfaces());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), 9);
    assert_eq!(value(&text, "nflog_exporter_undecoded_packets_total{reason=\"link_type\"}"), 1);
    check_conservation(&text, "traffic", "nflog_packets_total");
    let expect = "1 of 9 frames counted as undecoded: unsupported link type 201 (BLUETOOTH_HCI_H4_WITH_PHDR)";
    assert!(said.contains(expect), "{said}");
}

#[test]
fn the_error_for_an_unsupported_link_type_has_its_name() {
    let mut bytes = fs::read(root().join("tests/data/captures/links/e_vlan_x5.pcap")).unwrap();
    bytes[20..24].copy_from_slice(&189_u32.to_le_bytes());
    let output = program(&["replay", "-"], &bytes);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("unsupported link type 189 (USB_LINUX)"), "{said}");
    assert!(said.contains("tcpdump -y"), "{said}");
}

/// Files of the compression tools, decompressed by the program, also from a pipe.
#[test]
fn compressed_captures_are_read() {
    let directory = tempfile::tempdir().unwrap();
    for (tool, ending) in [("gzip", "gz"), ("xz", "xz"), ("bzip2", "bz2"), ("zstd", "zst")] {
        let file = directory.path().join(format!("mixed.{ending}"));
        let compressed = Command::new(tool).arg("-c").arg(root().join(MIXED)).output().unwrap();
        assert!(compressed.status.success(), "{tool}");
        fs::write(&file, &compressed.stdout).unwrap();
        for arguments in [file.to_str().unwrap(), "-"] {
            let text = metrics(&[arguments], &compressed.stdout);
            assert_eq!(
                sum(&text, "nflog_exporter_received_packets_total"),
                MIXED_PACKETS,
                "{tool}"
            );
        }
    }
}

#[test]
fn a_warning_is_printed_if_most_frames_or_ports_are_not_counted_separately() {
    let said = |capture: &[u8]| {
        let output = program(&["replay", "-"], capture);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // Encrypted frames and others without a readable packet.
    let mut wireless = fs::read(root().join("tests/data/captures/links/lt105_wlan.pcap")).unwrap();
    let data = [8, 2, 0, 0, 2, 0, 0, 0, 0, 1];
    let at = wireless.windows(data.len()).position(|window| window == data).unwrap();
    wireless[at + 1] |= 0x40;
    let expect = "2 of 3 frames could not be read as IP packets: not_ip 2;";
    assert!(said(&wireless).contains(expect), "{}", said(&wireless));
    // As many ports as packets, at once and over more than a day.
    let scan = |seconds_apart: u32| flood_with(5_000, seconds_apart);
    let folded = "packets are counted under port=other in the family traffic: raise ";
    let short = said(&scan(0));
    let raise = short.split_once(&format!("{folded}max_series from 2000 to ")).unwrap().1;
    let needed = raise.split(' ').next().unwrap();
    let config = format!("[[family]]\nname = 'traffic'\nmax_series = {needed}\n");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, config).unwrap();
    let wider = program(&["--config.file", file.to_str().unwrap(), "replay", "-"], &scan(0));
    let wider = String::from_utf8(wider.stderr).unwrap();
    assert!(!wider.contains("port=other"), "max_series = {needed}: {wider}");
    let long = said(&scan(20));
    let raise = "max_series (now 2000) or max_new_series_per_hour, in its section";
    assert!(long.contains(&format!("{folded}{raise}")), "{long}");
    let quiet = said(&fs::read(root().join(MIXED)).unwrap());
    assert_eq!(quiet, "");
}

/// TCP packets, each to a different port from a different address, with this interval in seconds.
fn flood_with(packets: u32, seconds_apart: u32) -> Vec<u8> {
    let mut capture: Vec<u8> = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    // Time zone and accuracy, snapshot length 65535, link type raw IP.
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    for number in 0..packets {
        let [_, _, high, low] = number.to_be_bytes();
        capture.extend((number * seconds_apart).to_le_bytes());
        capture.extend([0, 0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0]);
        capture.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, low]);
        capture.extend([192, 0, 2, 1, high, low, high, low]);
        capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    }
    capture
}

/// Starts a replay of a FIFO, and sends it a signal when it is ready.
fn interrupt_on_fifo(with_writer: bool, signal: nix::sys::signal::Signal) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // A writer that never writes.
    let writer =
        with_writer.then(|| fs::File::options().read(true).write(true).open(&fifo).unwrap());
    // A shell's background job ignores SIGINT, and its children inherit that.
    let child = Command::new("env")
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_nflog_exporter")])
        .args(["replay", MIXED, fifo.to_str().unwrap()])
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let process = format!("/proc/{}", child.id());
    let comm = |path: &Path| fs::read_to_string(path.join("comm")).unwrap_or_default();
    let is_ready = || {
        if with_writer {
            // This thread starts after all signals have listeners. A caught signal is not enough: tokio installs the
            // handler before the listener.
            let mut threads = fs::read_dir(format!("{process}/task")).unwrap();
            threads.any(|thread| comm(&thread.unwrap().path()) == "pipe\n")
        } else {
            // The program waits for a writer before it does anything else.
            comm(Path::new(&process)) == "nflog_exporter\n"
        }
    };
    while !is_ready() {
        assert!(Instant::now() < deadline, "timeout: the program does not wait for the pipe");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let output = receiver.recv_timeout(Duration::from_secs(60));
    if output.is_err() {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    drop(writer);
    output.expect("the program did not end after the signal")
}

#[test]
fn a_signal_ends_a_replay_of_a_pipe_that_delivers_nothing() {
    use nix::sys::signal::Signal::{SIGINT, SIGTERM};
    use std::os::unix::process::ExitStatusExt;
    for signal in [SIGTERM, SIGINT] {
        let output = interrupt_on_fifo(true, signal);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("nflog_exporter_build_info"));
        let output = interrupt_on_fifo(false, signal);
        assert_eq!(output.status.signal(), Some(signal as i32), "{output:?}");
    }
}

/// Packets from as many addresses, most of them public, to as many ports, 1,000 a second.
fn public_flood(packets: u32) -> Vec<u8> {
    let mut capture: Vec<u8> = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    // Time zone and accuracy, snapshot length 65535, link type raw IP.
    capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
    for number in 0..packets {
        // Every packet from a different address, most of them public, to a different port.
        let address = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
        let [_, _, high, low] = number.to_be_bytes();
        let seconds = (number / 1_000).to_le_bytes();
        capture.extend(seconds);
        capture.extend([0, 0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0]);
        capture.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        capture.extend(address);
        capture.extend([192, 0, 2, 1, high, low, low, high]);
        capture.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    }
    capture
}

/// With the smallest budget, and more ports than it has places.
#[test]
fn countries_are_never_folded() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let config = "[[family]]\nname = 'country'\nlabels = ['country', 'port']\nmax_series = 254\n";
    fs::write(&file, config).unwrap();
    let text = metrics(&["--config.file", file.to_str().unwrap(), "-"], &public_flood(200_000));
    check_conservation(&text, "country", "nflog_country_packets_total");
    let folded = |label: &str| {
        let labels = format!("{{family=\"country\",label=\"{label}\"}}");
        value(&text, &format!("nflog_exporter_folded_packets_total{labels}"))
    };
    assert_eq!(folded("country"), 0);
    assert!(folded("port") > 190_000);
    let countries: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("nflog_country_packets_total{country=\"")?.get(..2))
        .collect();
    assert!(countries.len() > 180, "{countries:?}");
}

/// As many sources and ports as packets; memory must not grow with their number.
#[test]
fn memory_does_not_grow_in_a_flood() {
    let flood = |packets: u32| {
        let capture = public_flood(packets);
        let text = metrics(&["-"], &capture);
        assert_eq!(sum(&text, "nflog_exporter_received_packets_total"), u64::from(packets));
        check_conservation(&text, "traffic", "nflog_packets_total");
        check_conservation(&text, "network", "nflog_network_packets_total");
        check_conservation(&text, "country", "nflog_country_packets_total");
        assert_eq!(
            value(
                &text,
                "nflog_exporter_folded_packets_total{family=\"country\",label=\"country\"}"
            ),
            0
        );
        assert!(value(&text, "nflog_exporter_series{family=\"traffic\"}") <= 2000);
        assert!(value(&text, "nflog_exporter_series{family=\"network\"}") <= 2000);
        value(&text, "process_resident_memory_bytes")
    };
    // The tables fill up, and the allocator retains freed memory: both are bounded. A
    // stored source would take more than the 17 bytes per packet that are allowed here.
    let (some, many) = (flood(200_000), flood(1_600_000));
    assert!(many < some + (24 << 20), "{some} bytes grew to {many}");
    assert!(many < 96 << 20, "{many} bytes");
}

#[test]
fn an_invalid_configuration_exits_with_code_2() {
    let check = |toml: &str, expect: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, toml).unwrap();
        for command in [&["config", "check"][..], &["config", "show"], &["run"], &["replay", MIXED]]
        {
            let arguments = [&["--config.file", file.to_str().unwrap()], command].concat();
            let output = program(&arguments, &[]);
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(expect) && said.contains("config.toml"), "{said}");
            assert!(output.stdout.is_empty());
        }
    };
    check("[nflog]\ngroup = [1]", "groups");
    check("[nflog]\ncopy_range = 7", "copy_range");
    check("[[family]]\nname = 'x'\nlabels = ['prot']", "proto");
    check("nonsense", "");
}

#[test]
fn the_output_of_config_show_is_a_valid_configuration() {
    let shown = program(&["config", "show", "--nflog.group", "5"], &[]);
    assert!(shown.status.success());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shown.toml");
    fs::write(&file, &shown.stdout).unwrap();
    let arguments = ["--config.file", file.to_str().unwrap(), "config"];
    let check = program(&[&arguments[..], &["check"]].concat(), &[]);
    let valid = format!("{}: configuration is valid\n", file.display());
    assert_eq!(String::from_utf8_lossy(&check.stdout), valid);
    let again = program(&[&arguments[..], &["show"]].concat(), &[]);
    assert_eq!(again.stdout, shown.stdout);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("groups = [5]"));
}

#[test]
fn usage_errors_and_help_have_their_exit_codes() {
    assert_eq!(program(&["--no-such-flag"], &[]).status.code(), Some(2));
    assert_eq!(program(&["replay"], &[]).status.code(), Some(2));
    assert_eq!(program(&["--help"], &[]).status.code(), Some(0));
    assert_eq!(program(&["--version"], &[]).status.code(), Some(0));
}
