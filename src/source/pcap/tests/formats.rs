//! Both formats, in both byte orders, plain and compressed.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    Direction, Owned, check, drain, open, packet, read,
    write::{
        MICROSECONDS, MODIFIED, NANOSECONDS, ORDERS, Order, block, enhanced, interface, option,
        pcap, pcap_file, pcap_frame, section, simple,
    },
};
use crate::source::pcap::{Capture, CaptureOptions};

const RAW: u16 = 101;

fn at(time: Option<u64>, device: &str) -> Owned {
    Owned {
        prefix: "given".into(),
        time,
        in_device: device.into(),
        payload: packet(),
        wire_length: 48,
        ..Owned::default()
    }
}

#[test]
fn pcap_files() {
    for order in ORDERS {
        for (magic, fraction) in [(MICROSECONDS, 5), (NANOSECONDS, 5999)] {
            let frame = pcap_frame(order, fraction, &packet(), 0);
            let file = [pcap(order, magic, RAW.into()), frame.clone(), frame].concat();
            check(&file, &[at(Some(1_000_005), ""), at(Some(1_000_005), "")]);
        }
    }
}

#[test]
fn pcap_file_of_kuznetzov() {
    for order in ORDERS {
        let mut frame = pcap_frame(order, 5, &packet(), 0);
        frame.splice(16..16, [0; 8]);
        let file = [pcap(order, MODIFIED, RAW.into()), frame.clone(), frame].concat();
        check(&file, &[at(Some(1_000_005), ""), at(Some(1_000_005), "")]);
    }
}

/// As in libpcap: before version 2.3 the length on the wire is first; in version 2.3 the order depends on the
/// program.
#[test]
fn pcap_files_of_old_versions() {
    let on_the_wire = Owned { wire_length: 148, ..at(Some(1_000_005), "") };
    for order in ORDERS {
        for (version, swapped) in [
            ((2, 0), true),
            ((2, 2), true),
            ((2, 3), true),
            ((2, 3), false),
            ((2, 4), false),
            ((543, 0), true),
        ] {
            let mut file = pcap(order, MICROSECONDS, RAW.into());
            file[4..6].copy_from_slice(&order.u16(version.0));
            file[6..8].copy_from_slice(&order.u16(version.1));
            let mut frame = pcap_frame(order, 5, &packet(), 100);
            if swapped {
                frame[8..16].rotate_left(4);
            }
            check(
                &[file, frame.clone(), frame].concat(),
                &[on_the_wire.clone(), on_the_wire.clone()],
            );
        }
    }
}

#[test]
fn pcap_link_type_with_checksum_bits() {
    let file = pcap(Order::Little, MICROSECONDS, 0x1400_0000 | u32::from(RAW));
    check(&[file, pcap_frame(Order::Little, 5, &packet(), 0)].concat(), &[at(Some(1_000_005), "")]);
}

#[test]
fn pcap_without_frames() {
    check(&pcap_file(RAW.into(), &[]), &[]);
}

#[test]
fn pcapng_sections_and_interfaces() {
    let mut file = Vec::new();
    for order in [Order::Little, Order::Big, Order::Big, Order::Little] {
        file.extend(section(order));
        file.extend(interface(order, RAW, 0, &[option(order, 2, b"eth0")]));
        file.extend(interface(order, RAW, 0, &[option(order, 2, b"eth1\0")]));
        // Statistics, and an unknown type.
        file.extend(block(order, 5, &[0; 12]));
        file.extend(block(order, 0x0bad, &[1, 2, 3]));
        file.extend(enhanced(order, 1, 1_000_005, &packet(), &[]));
        file.extend(enhanced(order, 0, 7, &packet(), &[option(order, 1, b"a comment")]));
    }
    let section = [at(Some(1_000_005), "eth1"), at(Some(7), "eth0")];
    check(&file, &[section.clone(), section.clone(), section.clone(), section].concat());
}

/// Checks the time of 5,000,000 ticks on an interface with this option.
#[track_caller]
fn check_time(code: u16, value: impl Fn(Order) -> Vec<u8>, expect: Option<u64>) {
    for order in ORDERS {
        let description = interface(order, RAW, 0, &[option(order, code, &value(order))]);
        let file =
            [section(order), description, enhanced(order, 0, 5_000_000, &packet(), &[])].concat();
        check(&file, &[at(expect, "")]);
    }
}

#[test]
fn pcapng_clocks() {
    const RESOLUTION: u16 = 9;
    const OFFSET: u16 = 14;
    for (exponent, expect) in [
        (6, Some(5_000_000)),
        (9, Some(5_000)),
        (0, Some(5_000_000_000_000)),
        // The upper bit means powers of two.
        (0x94, Some(4_768_371)),
        (0xff, Some(0)),
        (127, None),
    ] {
        check_time(RESOLUTION, |_| vec![exponent], expect);
    }
    for (offset, expect) in
        [(2, Some(7_000_000)), (-3, Some(2_000_000)), (-6, None), (i64::MAX, None)]
    {
        check_time(OFFSET, |order| order.u64(offset.cast_unsigned()).to_vec(), expect);
    }
}

#[test]
fn pcapng_direction() {
    for order in ORDERS {
        for (flags, direction) in
            [(0, None), (1, Some(Direction::In)), (2, Some(Direction::Out)), (3, None)]
        {
            let flags = option(order, 2, &order.u32(0xffff_fff0 | flags));
            let description = interface(order, RAW, 0, &[option(order, 2, b"eth0")]);
            let file =
                [section(order), description, enhanced(order, 0, 5, &packet(), &[flags])].concat();
            let mut expect = Owned { direction, ..at(Some(5), "eth0") };
            if direction == Some(Direction::Out) {
                std::mem::swap(&mut expect.in_device, &mut expect.out_device);
            }
            check(&file, &[expect]);
        }
    }
}

#[test]
fn pcapng_simple_packets() {
    for order in ORDERS {
        let whole =
            [section(order), interface(order, RAW, 0, &[]), simple(order, 48, &packet())].concat();
        check(&whole, &[at(None, "")]);
        // The interface truncates to 30 bytes, so 2 bytes of the block are padding.
        let cut =
            [section(order), interface(order, RAW, 30, &[]), simple(order, 48, &packet()[..30])]
                .concat();
        check(&cut, &[Owned { payload: packet()[..30].into(), ..at(None, "") }]);
    }
}

#[test]
fn pcapng_obsolete_packets() {
    for order in ORDERS {
        let numbers = [0, 1_000_005, 48, 48].map(|number| order.u32(number)).concat();
        let body = [&order.u16(0)[..], &order.u16(9), &numbers, &packet()].concat();
        let file = [section(order), interface(order, RAW, 0, &[]), block(order, 2, &body)].concat();
        check(&file, &[at(Some(1_000_005), "")]);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The output of a program for these bytes as its standard input.
fn filtered(command: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    filtered(&["zstd", "-c"], bytes)
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    filtered(&["xz", "-c"], bytes)
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    filtered(&["bzip2", "-c"], bytes)
}

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [Compress; 4] = [gzip, zstd, xz, bzip2];

#[test]
fn compressed() {
    let expect = [at(Some(1_000_005), ""), at(Some(1_000_005), "")];
    let file = pcap_file(RAW.into(), &[&packet(), &packet()]);
    for compress in COMPRESSIONS {
        check(&compress(&file), &expect);
        // Two compressed files, one after the other.
        let members = [compress(&file[..50]), compress(&file[50..])].concat();
        check(&members, &expect);
        for cut in [4, members.len() / 2] {
            let (_, error) = read(&members[..members.len() - cut]);
            assert!(error.starts_with("file ends in the middle of its "), "{error}");
        }
    }
    // A skippable frame of zstd, as pzstd writes.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &zstd(&file)].concat();
    check(&skipped, &expect);
}

/// Each compressed file has several blocks and windows.
#[test]
fn a_large_file_compressed() {
    let frames: Vec<Vec<u8>> =
        (0..40_000_u32).map(|number| [packet(), number.to_be_bytes().to_vec()].concat()).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let file = pcap_file(RAW.into(), &frames);
    for compress in COMPRESSIONS {
        let (records, error) = read(&compress(&file));
        assert_eq!((records.len(), error.as_str()), (40_000, ""));
        assert!(records.iter().zip(&frames).all(|(record, frame)| record.payload == *frame));
    }
}

/// The memory for decompression is limited.
#[test]
fn a_window_that_is_too_large() {
    let file = pcap_file(RAW.into(), &[&packet()]);
    for (tool, command) in [
        (&["xz", "-c", "--lzma2=dict=1GiB"][..], "xz -dc"),
        (&["zstd", "-c", "--ultra", "--long=30"], "zstd -dc --long=31"),
    ] {
        let (records, error) = read(&filtered(tool, &file));
        let expect = format!(
            "cannot read file after byte 0: decompressing it needs more than 128 MiB of memory; decompress it with another program: `{command} FILE | nflog_exporter replay -`; no frame comes before it"
        );
        assert_eq!((records.len(), error), (0, expect));
    }
}

#[test]
fn large_blocks_are_skipped() {
    let order = Order::Little;
    let head = [section(order), interface(order, RAW, 0, &[])].concat();
    let last = enhanced(order, 0, 5, &packet(), &[]);
    // A block without a packet.
    let file = [head.clone(), block(order, 5, &vec![0; 3 << 20]), last.clone()].concat();
    check(&file, &[at(Some(5), "")]);
    // A block with a packet, which is counted.
    let large = enhanced(order, 0, 5, &vec![0; 3 << 20], &[]);
    let unread = Owned { prefix: "given".into(), ..Owned::default() };
    check(&[head, large, last].concat(), &[unread, at(Some(5), "")]);
}

#[test]
fn many_frames_are_read_in_batches_and_the_position_advances() {
    let packet = packet();
    let frames = vec![packet.as_slice(); 60_000];
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = pcap_file(RAW.into(), &frames);
    std::fs::write(file.path(), &bytes).unwrap();
    let mut capture = Capture::open(file.path(), CaptureOptions::default()).unwrap();
    assert_eq!(capture.input().size(), Some(bytes.len() as u64));
    assert!(capture.input().position() < bytes.len() as u64);
    let (records, error) = drain(&mut capture);
    assert!(error.is_none() && records.len() == 60_000);
    assert_eq!(capture.input().position(), bytes.len() as u64);
    assert_eq!(open(&bytes).unwrap().input().size(), None);
}

/// Compressed files with one damaged byte each: reading yields an error or other records, and does not panic.
#[test]
fn damaged_compressed_files() {
    let packets: Vec<Vec<u8>> =
        (0..8_u8).map(|number| [packet(), vec![number; 90]].concat()).collect();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let file = pcap_file(RAW.into(), &packets);
    for compress in COMPRESSIONS {
        let whole = compress(&file);
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= change;
                read(&damaged);
            }
        }
    }
}
