//! Owned copies of the packets of the NFLOG source, and functions that read until a state is reached.

use std::time::{Duration, Instant};

use nflog_exporter::{
    event::{Connection, Hook},
    packet::Direction,
    source::{
        ReadOutcome, Record, Source,
        nflog::{Nflog, NflogConfig},
    },
};

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub group: u16,
    pub prefix: String,
    pub hook: Option<Hook>,
    pub direction: Option<Direction>,
    pub ether_type: Option<u16>,
    pub mark: u32,
    pub in_device: String,
    pub out_device: String,
    pub hardware_address: Vec<u8>,
    pub uid: Option<u32>,
    pub connection: Option<Connection>,
    pub time: Option<u64>,
    pub payload: Vec<u8>,
}

impl From<&Record<'_>> for Logged {
    fn from(record: &Record<'_>) -> Self {
        Self {
            group: record.group,
            prefix: String::from_utf8(record.prefix.into()).unwrap(),
            hook: record.hook,
            direction: record.direction,
            ether_type: record.ether_type,
            mark: record.mark,
            in_device: record.in_device.into(),
            out_device: record.out_device.into(),
            hardware_address: record.hardware_address.into(),
            uid: record.uid,
            connection: record.connection,
            time: record.time,
            payload: record.payload.into(),
        }
    }
}

/// Maximum time to wait for a state.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A plan for these groups with a short queue timeout.
pub fn plan(groups: &[u16]) -> NflogConfig {
    NflogConfig {
        groups: groups.into(),
        copy_range: 128,
        queue_threshold: 100,
        queue_timeout: Duration::from_millis(20),
        kernel_buffer: 131_072,
        receive_buffer: 16 << 20,
        conntrack: false,
    }
}

/// Reads until there are `count` packets.
pub fn read_packets(source: &mut Nflog, count: usize) -> Vec<Logged> {
    let deadline = Instant::now() + DEADLINE;
    let mut logged = Vec::new();
    while logged.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} packets: {logged:#?}", logged.len());
        let fill = source
            .fill(Duration::from_millis(100), &mut |record| logged.push(Logged::from(record)))
            .unwrap();
        assert_ne!(fill, ReadOutcome::End, "{} of {count} packets", logged.len());
    }
    logged
}

/// Reads until the source ends; returns the number of packets.
pub fn read_to_end(source: &mut dyn Source) -> u64 {
    let deadline = Instant::now() + DEADLINE;
    let mut count = 0;
    while source.fill(Duration::from_millis(100), &mut |_| count += 1).unwrap() != ReadOutcome::End
    {
        assert!(Instant::now() < deadline, "no end after {count} packets");
    }
    count
}
