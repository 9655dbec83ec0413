//! Positions in files: after each batch, they are those of the packets that were read.

use super::{meter::Input, queue::Chunk, *};

const PACKET: &str = "IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 PROTO=ICMP TYPE=8 CODE=0";

/// A source without inputs, to whose queue a test adds lines.
fn source() -> KernelLog {
    let config = KernelLogConfig::default();
    let resources = KernelLogResources {
        kmsg: None,
        syslog: SyslogSockets::open(&config.syslog, &config.allow, &config.tls).unwrap(),
        zone: Zone::system(),
        host: String::new(),
    };
    KernelLog::start(&config, resources, &|_| false).unwrap()
}

/// A kill after any batch must neither lose nor repeat packets, so a batch ends with a line, whose end is its position.
#[test]
fn each_batch_of_a_file_ends_at_a_position() {
    let mut lines = Vec::new();
    // The packets before each position.
    let mut expect = vec![(1000, 0)];
    let mut packets = 0;
    for (number, repeats) in [0, 3000, 0, 1, 900, 200, 5000, 0].into_iter().enumerate() {
        let line = match repeats {
            0 => format!("Nov 28 10:00:00 web1 kernel: [{number}.5] {PACKET}\n"),
            _ => format!(
                "Nov 28 10:00:00 web1 kernel: message repeated {repeats} times: [ {PACKET}]\n"
            ),
        };
        lines.extend_from_slice(line.as_bytes());
        packets += u64::max(1, repeats);
        expect.push((1000 + lines.len() as u64, packets));
    }
    let end = 1000 + lines.len() as u64;
    let mut log = source();
    assert!(log.queue.push(Chunk::of_file(lines, 7, end)));
    let (mut read, mut batches) = (0, 0);
    loop {
        let mut records = 0;
        log.read(&mut |_| records += 1).unwrap();
        read += records;
        batches += 1;
        let checkpoint = log.checkpoint.take().unwrap();
        assert_eq!(checkpoint.id, 7);
        assert!(expect.contains(&(checkpoint.offset, read)), "{read} packets at {checkpoint:?}");
        // One line can repeat 10,000 packets.
        assert!(records < u64::from(BATCH) + 10_000, "{records}");
        if checkpoint.offset == end {
            break;
        }
    }
    assert_eq!(read, packets);
    assert!(batches >= 3, "{batches}");
    assert!(matches!(log.read(&mut |_| {}).unwrap(), ReadOutcome::End));
}

/// Other inputs have no positions, and a batch can end inside a line that repeats a packet.
#[test]
fn a_batch_of_other_inputs_is_short() {
    let mut log = source();
    let lines =
        format!("<4>Nov 28 10:00:00 web1 kernel: message repeated 9000 times: [ {PACKET}]\n");
    let chunk = Chunk {
        lines: lines.into_bytes(),
        input: Input::Syslog,
        stream: 0,
        sender: Some([192, 0, 2, 1].into()),
        checkpoint: None,
    };
    assert!(log.queue.push(chunk));
    let mut read = 0;
    while read < 9000 {
        let mut records = 0;
        log.read(&mut |_| records += 1).unwrap();
        assert!(records <= BATCH && log.checkpoint.is_none());
        read += records;
    }
    assert_eq!(read, 9000);
}
