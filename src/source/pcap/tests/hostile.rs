//! Truncated, damaged and hostile files.

use std::path::Path;

use proptest::prelude::*;

use super::{
    super::{Capture, CaptureOptions},
    DecodeIssue, packet, read,
    write::{Order, attribute, block, enhanced, interface, option, pcap_file, section, simple},
};

/// A pcapng file with every block that is parsed.
fn pcapng_file() -> Vec<u8> {
    let order = Order::Little;
    let nflog = [vec![2, 0, 0, 5], attribute(order, 10, b"x\0"), attribute(order, 9, &packet())];
    [
        section(order),
        interface(order, 101, 0, &[option(order, 2, b"eth0"), option(order, 9, &[9])]),
        interface(order, 239, 0, &[]),
        enhanced(order, 0, 5, &packet(), &[option(order, 2, &[1, 0, 0, 0])]),
        simple(order, 48, &packet()),
        section(Order::Big),
        interface(Order::Big, 276, 0, &[option(Order::Big, 14, &[0; 8])]),
        enhanced(Order::Big, 0, 5, &[8; 60], &[]),
        block(Order::Big, 2, &[0; 40]),
        section(order),
        interface(order, 239, 0, &[]),
        enhanced(order, 0, 5, &nflog.concat(), &[]),
    ]
    .concat()
}

#[test]
fn a_file_truncated_at_any_byte() {
    for file in [
        pcap_file(1, &[&packet(), &packet(), &packet()]),
        pcap_file(239, &[&packet(), &packet()]),
        pcapng_file(),
    ] {
        let (whole, error) = read(&file);
        assert_eq!(error, "");
        let mut clean = 0;
        for length in 0..file.len() {
            let (records, error) = read(&file[..length]);
            assert!(whole.starts_with(&records), "{length}");
            if error.is_empty() {
                clean += 1;
            } else if length >= 24 {
                let parts = ["its file header; ", "a frame, at byte ", "a block, at byte "];
                let is_named = |part| error.contains(&format!(" in the middle of {part}"));
                assert!(parts.into_iter().any(is_named), "{error}");
                let counted = match records.len() {
                    0 => "; no frame comes before it".into(),
                    1 => "; the frame before it is counted".into(),
                    frames => format!("; the {frames} frames before it are counted"),
                };
                assert!(error.ends_with(&counted), "{error}");
            }
        }
        // A file truncated between frames or blocks is valid.
        assert!((2..=11).contains(&clean), "{clean}");
    }
}

/// Checks the error and the number of records before it.
#[track_caller]
fn check(file: &[u8], records: usize, error: &str) {
    let (found, message) = read(file);
    assert_eq!((found.len(), message.as_str()), (records, error));
}

#[test]
fn files_of_other_formats() {
    check(
        b"",
        0,
        "file: not a pcap or pcapng file (it is empty); use a capture by `tcpdump -w`, or convert another format with `editcap -F pcapng`",
    );
    check(
        b"GIF89a",
        0,
        "file: not a pcap or pcapng file (starts with \"GIF8\"); use a capture by `tcpdump -w`, or convert another format with `editcap -F pcapng`",
    );
    check(
        b"\xd4",
        0,
        "file: not a pcap or pcapng file (starts with the bytes [d4]); use a capture by `tcpdump -w`, or convert another format with `editcap -F pcapng`",
    );
    let open =
        |path| Capture::open(Path::new(path), CaptureOptions::default()).unwrap_err().to_string();
    assert!(open("/no/such").starts_with("/no/such: cannot open the capture: "));
    assert!(open("/").starts_with("/: cannot open the capture: "));
}

/// The error names the file header, and not a frame.
#[test]
fn a_truncated_file_header() {
    for file in [pcap_file(1, &[]), section(Order::Little)] {
        for length in 4..file.len() {
            check(
                &file[..length],
                0,
                "file ends in the middle of its file header; no frame comes before it",
            );
        }
    }
}

#[test]
fn unsupported_link_types() {
    let error = |link, counted| {
        format!(
            "cannot read file: unsupported link type {link} ({counted}); capture on a network interface, or choose another link type with `tcpdump -y` (`tcpdump -L` lists those of an interface)"
        )
    };
    check(&pcap_file(189, &[&packet()]), 0, &error("189 (USB_LINUX)", "no frame was read"));
    check(&pcap_file(60_000, &[]), 0, &error("60000", "no frame was read"));
    // An interface without frames is ignored.
    let order = Order::Little;
    let head = [section(order), interface(order, 101, 0, &[]), interface(order, 189, 0, &[])];
    let good = [head.concat(), enhanced(order, 0, 5, &packet(), &[])].concat();
    check(&good, 1, "");
    // Frames of such an interface are counted, and the next frames are read.
    let foreign = enhanced(order, 1, 5, &packet(), &[]);
    let mixed = [good.clone(), foreign.clone(), good, foreign.clone()].concat();
    let (records, message) = read(&mixed);
    assert_eq!(message, "");
    let issues: Vec<_> = records.iter().map(|record| record.issue).collect();
    assert_eq!(issues, [None, Some(DecodeIssue::LinkType), None, Some(DecodeIssue::LinkType)]);
    // A file that has no other frames is an error.
    let other = interface(order, 187, 0, &[]);
    let alien = [head.concat(), other, foreign, enhanced(order, 2, 5, &packet(), &[])].concat();
    let named = "189 (USB_LINUX), 187 (BLUETOOTH_HCI_H4)";
    check(&alien, 2, &error(named, "2 frames are counted as undecoded"));
}

#[test]
fn a_pcap_frame_with_an_invalid_length() {
    let mut file = pcap_file(101, &[&packet(), &packet()]);
    let second = 24 + 16 + 48;
    file[second + 8..second + 12].copy_from_slice(&262_145_u32.to_le_bytes());
    check(
        &file,
        1,
        "file is damaged at byte 88: a frame has a length of 262145 bytes; the maximum is 262144; the frame before it is counted",
    );
}

#[test]
fn pcapng_blocks_with_invalid_lengths() {
    let order = Order::Little;
    let head = [section(order), interface(order, 101, 0, &[])].concat();
    for length in [0_u32, 8, 13] {
        let mut bad = enhanced(order, 0, 5, &packet(), &[]);
        bad[4..8].copy_from_slice(&order.u32(length));
        let error = format!(
            "file is damaged at byte 48: a block has an invalid length of {length} bytes; no frame comes before it"
        );
        check(&[head.clone(), bad].concat(), 0, &error);
    }
    let mut bad = section(order);
    bad[8] = 0;
    check(
        &bad,
        0,
        "file is damaged at byte 0: a section has no byte-order magic; no frame comes before it",
    );
}

/// A block with a valid length and invalid contents becomes a record without a payload.
#[test]
fn frames_that_cannot_be_parsed_are_counted() {
    let order = Order::Little;
    let head = [section(order), interface(order, 101, 0, &[])].concat();
    let good = enhanced(order, 0, 5, &packet(), &[]);
    let mut too_long = good.clone();
    too_long[20..24].copy_from_slice(&order.u32(1000));
    let mut endless = good.clone();
    endless[20..24].copy_from_slice(&order.u32(u32::MAX));
    for bad in [
        too_long,
        endless,
        enhanced(order, 7, 5, &packet(), &[]),
        block(order, 6, &[0; 4]),
        block(order, 3, &[]),
        block(order, 2, &[0; 12]),
    ] {
        let (records, error) = read(&[head.clone(), bad, good.clone()].concat());
        assert_eq!((records.len(), error.as_str()), (2, ""));
        assert!(records[0].payload.is_empty());
        assert_eq!(records[1].payload, packet());
    }
}

#[test]
fn interfaces_are_bounded() {
    let order = Order::Little;
    let mut file = section(order);
    for _ in 0..=4096 {
        file.extend(interface(order, 101, 0, &[option(order, 2, &[b'x'; 60])]));
    }
    let (_, error) = read(&file);
    assert!(error.contains("a section has more than 4096 interfaces"), "{error}");
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..4_usize) {
        let start = [
            Vec::new(),
            pcap_file(239, &[]),
            pcap_file(1, &[]),
            [section(Order::Big), interface(Order::Big, 239, 0, &[])].concat(),
        ];
        read(&[start[kind].clone(), bytes].concat());
    }

    #[test]
    fn mutations(
        kind in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let frame = [vec![2, 0, 0, 5], attribute(Order::Little, 9, &packet())].concat();
        let mut file = [pcapng_file(), pcap_file(239, &[&frame, &frame])][kind].clone();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let (records, _) = read(&file);
        // A frame has at least 12 bytes.
        prop_assert!(records.len() <= file.len() / 12);
    }
}
