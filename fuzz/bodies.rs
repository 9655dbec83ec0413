//! The bodies of the fuzz targets, shared by the fuzzer and `tests/program/corpus.rs`.

use std::{io::Cursor, time::Duration};

use nflog_exporter::{
    config, packet,
    source::{
        ReadOutcome, Source,
        log::{envelope, line_time::Zone, packet_line},
        nflog,
        pcap::{Capture, CaptureOptions},
    },
};

/// Walks the attributes of one netlink datagram.
pub fn walk(data: &[u8]) {
    let mut packets = 0;
    let walked = nflog::walk(data, |packet| {
        packets += 1;
        assert!(packet.payload.len() <= data.len());
        let _ = packet.record("", "");
        // Earlier messages change nothing.
        let alone = nflog::Packet::read(packet.message).unwrap();
        assert_eq!(*packet, nflog::Packet { message: packet.message, ..alone });
    });
    assert_eq!(walked.packets, packets);
    // Each packet has a netlink header of 16 bytes.
    assert!(packets as usize * 16 <= data.len());
}

/// Decodes a packet. The first two bytes of the input are the EtherType.
pub fn decode(data: &[u8]) {
    let Some((kind, payload)) = data.split_first_chunk() else { return };
    let length = u32::try_from(payload.len()).unwrap();
    for kind in [None, Some(u16::from_be_bytes(*kind))] {
        let headers = packet::decode(payload, kind, length);
        // A packet without addresses has no ports, and has an issue.
        if headers.addresses.is_none() {
            assert!(headers.issue.is_some() && headers.transport.ports().is_none());
        }
        assert!(headers.transport.ports().is_none() || headers.protocol.is_some());
    }
}

/// Reads a capture file.
pub fn capture(data: &[u8]) {
    let Ok(mut capture) =
        Capture::from_reader("fuzz", Cursor::new(data.to_vec()), CaptureOptions::default())
    else {
        return;
    };
    let mut records = 0;
    // A record has more than one byte, so this number of calls reaches the end.
    for _ in 0..data.len() + 2 {
        match capture.fill(Duration::ZERO, &mut |_| records += 1) {
            Ok(ReadOutcome::End) | Err(_) => {
                assert!(records <= data.len());
                return;
            }
            Ok(_) => {}
        }
    }
    panic!("the capture does not end");
}

/// Reads a frame of any link type. The first two bytes of the input are the link type.
pub fn link(data: &[u8]) {
    let Some((&[high, low], frame)) = data.split_first_chunk() else { return };
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    // A pcap header (version 2.4, snapshot length 262144, the link type), then one frame at time 0.
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    file.extend([low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([length, length].concat());
    file.extend(frame);
    let mut capture =
        Capture::from_reader("fuzz", Cursor::new(file), CaptureOptions::default()).unwrap();
    let mut packets = 0;
    let filled = capture.fill(Duration::ZERO, &mut |record| {
        packets += 1;
        // The payload of NFLOG (239) is an attribute with padding after it.
        assert!(low == 239 || frame.ends_with(record.payload));
        let _ = packet::decode(record.payload, record.ether_type, record.wire_length);
    });
    assert_eq!(packets == 1, filled.is_ok());
}

/// Parses a TOML configuration. A valid one is printed and parsed again with the same result.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(config) = config::parse(text, "fuzz.toml") {
        let shown = config.to_toml().unwrap();
        assert_eq!(config::parse(&shown, "shown.toml").unwrap(), config);
    }
}

/// Reads the packet of a log line. A whole line after any text is read unchanged.
pub fn packet_line(data: &[u8]) {
    const WHOLE: &[u8] = b" DROP: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 \
PROTO=TCP SPT=1 DPT=2 WINDOW=3 RES=0x00 SYN URGP=0 ";
    if let Ok(packet) = packet_line::parse(data) {
        let headers = packet.headers;
        assert!(packet.prefix.len() < data.len());
        // A packet without addresses has no ports, and has an issue.
        if headers.addresses.is_none() {
            assert!(headers.issue.is_some() && headers.transport == packet::Transport::None);
        }
        assert!(headers.transport == packet::Transport::None || headers.protocol.is_some());
    }
    let text = [data, WHOLE].concat();
    if text.len() <= packet_line::MAX_TEXT {
        let (read, whole) = (packet_line::parse(&text), packet_line::parse(WHOLE));
        let prefix = read.unwrap().prefix;
        let whole = packet_line::LoggedPacket { prefix, ..whole.unwrap() };
        assert_eq!(read, Ok(whole));
    }
}

/// Takes a line of a log apart, and the same bytes as a message with an envelope.
pub fn envelope(data: &[u8]) {
    const ENVELOPE: &[u8] = b"<4>Dec  3 10:11:12 host kernel: ";
    let envelope = envelope::parse(data);
    let zone = Zone::fixed(7200).unwrap();
    for reference in [0, 1_796_342_400_000_000, u64::MAX] {
        let _ = envelope.time.resolve(reference, &zone);
    }
    assert!(envelope.message.len() <= data.len());
    let line = [ENVELOPE, data].concat();
    let enclosed = envelope::parse(&line);
    // The text after a NUL is another line.
    let end = data.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0));
    if end.is_some_and(|end| !data[..end].contains(&0)) {
        assert_eq!(enclosed.host, Some(&b"host"[..]));
        assert_eq!(enclosed.program, Some(&b"kernel"[..]));
        assert!(enclosed.message.len() <= data.len());
    }
}
