//! Reads lines: the envelope, the packet, its time and its host.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use super::{
    LINES_GROUP,
    meter::{Input, LineMeter},
};
use crate::source::{
    Record,
    log::{
        envelope::{self, Envelope},
        line_time::{LineTime, Zone},
        packet_line::{self, SkipReason},
    },
};

/// Maximum number of packets that a line can repeat.
const MAX_REPEATED: u32 = 10_000;

/// The times that lines can have. A line with another time has the time of its arrival, and is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimits {
    /// How far after [`Origin::reference`], microseconds: rows of the far future would never expire.
    ahead: u64,
    /// How far before, microseconds; `None` for any time.
    past: Option<u64>,
}

const MINUTE: u64 = 60 * 1_000_000;
const DAY: u64 = 24 * 60 * MINUTE;

impl TimeLimits {
    /// Lines of recorded files.
    pub const RECORDED: Self = Self { ahead: DAY, past: None };

    /// Lines that this host writes. They are old if they are read from the start, or were written while the program was
    /// down.
    pub const OWN: Self = Self { ahead: 5 * MINUTE, past: None };

    /// Lines of other hosts as they arrive. A relay can keep them while the program is down. A clock that was never set
    /// is years behind.
    pub const RECEIVED: Self = Self { ahead: 5 * MINUTE, past: Some(DAY) };

    fn has(self, time: u64, reference: u64) -> bool {
        time <= reference.saturating_add(self.ahead)
            && self.past.is_none_or(|past| time.saturating_add(past) >= reference)
    }
}

/// Maximum number of streams whose last line is known.
const STREAMS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Where a line comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub input: Input,
    /// A line that says "last message repeated" repeats the line before it in this stream.
    pub stream: u64,
    /// Name of the host if the line has none; empty for this host.
    pub sender: &'a [u8],
    /// The latest time of the line, to guess the year: microseconds since 1970.
    pub reference: u64,
    /// When the system started, if times since then are those of this host: microseconds since 1970.
    pub boot: Option<u64>,
    /// Time of a line whose time is unknown; `None` for its arrival.
    pub unknown: Option<u64>,
    /// The times that the line can have.
    pub limits: TimeLimits,
}

/// Reads lines, and counts those that are no packet.
#[derive(Debug)]
pub(super) struct LineReader {
    zone: Zone,
    meter: Arc<LineMeter>,
    /// Names of this host, which are no value of `host`.
    own_names: Vec<Vec<u8>>,
    /// The message of the last line of each stream, if it is a packet.
    last: LruCache<u64, Vec<u8>>,
    repeated: Option<Repeated>,
}

/// A line whose packet is still to be counted.
#[derive(Debug)]
pub(super) struct Repeated {
    message: Vec<u8>,
    host: Vec<u8>,
    time: Option<u64>,
    remaining: u32,
}

impl LineReader {
    /// A reader of lines in a time zone. `own_name` is the name of this host; empty if each line has its host.
    pub fn new(zone: Zone, meter: Arc<LineMeter>, own_name: &str) -> Self {
        let short = own_name.split('.').next().unwrap_or_default();
        let names = [own_name, short, "localhost"].into_iter();
        let names = names.filter(|_| !own_name.is_empty());
        Self {
            zone,
            meter,
            own_names: names.map(|name| name.as_bytes().to_vec()).collect(),
            last: LruCache::new(STREAMS),
            repeated: None,
        }
    }

    /// Reads one line. Returns the time of its packet, if it has both.
    pub fn read(
        &mut self,
        line: &[u8],
        origin: &Origin<'_>,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> Option<u64> {
        self.meter.count(origin.input, 1);
        if line.len() > packet_line::MAX_TEXT {
            self.meter.skip(SkipReason::TooLong, 1);
            self.last.pop(&origin.stream);
            return None;
        }
        let envelope = envelope::parse(line);
        if !envelope.may_log_packets() {
            self.skip(SkipReason::NotAPacket, origin);
            return None;
        }
        if let Some(count) = envelope.repeated {
            return self.repeat(&envelope, count, origin);
        }
        let packet = match packet_line::parse(envelope.message) {
            Ok(packet) => packet,
            Err(reason) => {
                self.skip(reason, origin);
                return None;
            }
        };
        let time = self.time(&envelope, origin);
        let host = self.host(&envelope, origin);
        take(&record(&packet, host, time.or(origin.unknown)));
        self.remember(envelope.message, origin.stream);
        time
    }

    /// Passes the packet of a line that repeats an earlier one, at most `limit` times. Returns how many were passed.
    pub fn read_repeated(&mut self, limit: u32, take: &mut dyn FnMut(&Record<'_>)) -> u32 {
        let Some(repeated) = &mut self.repeated else { return 0 };
        let count = repeated.remaining.min(limit);
        if let Ok(packet) = packet_line::parse(&repeated.message) {
            let record = record(&packet, &repeated.host, repeated.time);
            (0..count).for_each(|_| take(&record));
        }
        repeated.remaining -= count;
        if repeated.remaining == 0 {
            self.repeated = None;
        }
        count
    }

    /// Exchanges what is still to be counted, before another chunk of lines is read.
    pub fn swap_repeated(&mut self, repeated: &mut Option<Repeated>) {
        std::mem::swap(&mut self.repeated, repeated);
    }

    /// Whether [`Self::read_repeated`] has packets.
    pub fn is_repeating(&self) -> bool {
        self.repeated.is_some()
    }

    fn repeat(&mut self, envelope: &Envelope<'_>, count: u32, origin: &Origin<'_>) -> Option<u64> {
        let message = match envelope.message {
            [] => self.last.get(&origin.stream).cloned().unwrap_or_default(),
            message => message.to_vec(),
        };
        if let Err(reason) = packet_line::parse(&message) {
            self.meter.skip(reason, 1);
            return None;
        }
        // The rest is more than any daemon writes.
        self.meter.skip(SkipReason::Malformed, count.saturating_sub(MAX_REPEATED).into());
        let time = self.time(envelope, origin);
        let host = self.host(envelope, origin).to_vec();
        let remaining = count.min(MAX_REPEATED);
        if remaining > 0 {
            self.repeated =
                Some(Repeated { message, host, time: time.or(origin.unknown), remaining });
        }
        time
    }

    fn skip(&mut self, reason: SkipReason, origin: &Origin<'_>) {
        self.meter.skip(reason, 1);
        self.last.pop(&origin.stream);
    }

    /// Keeps the message of a stream, in the memory of the one before it.
    fn remember(&mut self, message: &[u8], stream: u64) {
        let last = self.last.get_or_insert_mut(stream, Vec::new);
        last.clear();
        last.extend_from_slice(message);
    }

    fn time(&self, envelope: &Envelope<'_>, origin: &Origin<'_>) -> Option<u64> {
        let time = match (envelope.time, origin.boot) {
            (LineTime::SinceBoot(micros), Some(boot)) => Some(boot.saturating_add(micros)),
            (time, _) => time.resolve(origin.reference, &self.zone),
        };
        let valid = time.filter(|time| origin.limits.has(*time, origin.reference));
        if valid.is_none() && time.is_some() {
            self.meter.reject_time(origin.input);
        }
        valid
    }

    fn host<'a>(&self, envelope: &Envelope<'a>, origin: &Origin<'a>) -> &'a [u8] {
        let host = envelope.host.unwrap_or(origin.sender);
        let is_own = |name: &Vec<u8>| name.eq_ignore_ascii_case(host);
        if self.own_names.iter().any(is_own) { &[] } else { host }
    }
}

fn record<'a>(
    packet: &'a packet_line::LoggedPacket<'a>,
    host: &'a [u8],
    time: Option<u64>,
) -> Record<'a> {
    Record {
        group: LINES_GROUP,
        host,
        prefix: packet.prefix,
        hook: None,
        direction: packet.direction,
        ether_type: packet.ether_type,
        headers: Some(packet.headers),
        mark: packet.mark,
        in_device: packet.in_device,
        out_device: packet.out_device,
        hardware_address: packet.hardware_address.as_bytes(),
        uid: packet.uid,
        connection: None,
        time,
        payload: &[],
        wire_length: packet.headers.length,
        message: &[],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    const PACKET: &str =
        "[UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 LEN=40 PROTO=ICMP TYPE=8 CODE=0";
    const ORIGIN: Origin<'static> = Origin {
        input: Input::File,
        stream: 0,
        sender: b"",
        reference: 1_796_342_400_000_000,
        boot: None,
        unknown: None,
        limits: TimeLimits::RECORDED,
    };

    struct Lines {
        reader: LineReader,
        meter: Arc<LineMeter>,
        packets: Vec<(String, Option<u64>)>,
    }

    impl Lines {
        fn new() -> Self {
            let meter = Arc::<LineMeter>::default();
            let reader = LineReader::new(Zone::utc(), Arc::clone(&meter), "fw1.example.net");
            Self { reader, meter, packets: Vec::new() }
        }

        fn read(&mut self, line: &str, origin: &Origin<'_>) {
            let packets = &mut self.packets;
            let mut take = |record: &Record<'_>| {
                packets.push((String::from_utf8_lossy(record.host).into_owned(), record.time));
            };
            self.reader.read(line.as_bytes(), origin, &mut take);
            while self.reader.is_repeating() {
                self.reader.read_repeated(1000, &mut take);
            }
        }

        fn skipped(&self) -> [u64; 4] {
            std::array::from_fn(|at| self.meter.skipped[at].load(Relaxed))
        }
    }

    #[test]
    fn lines_that_are_no_packet_are_counted_by_reason() {
        let mut lines = Lines::new();
        let long = "x".repeat(8193);
        for line in [
            "Dec  3 10:11:12 fw1 kernel: usb 1-1: new device",
            &format!("Dec  3 10:11:12 fw1 sshd[7]: Invalid user {PACKET}"),
            "IN=eth0 OUT= SRC=192.0.2.1",
            &long,
            PACKET,
        ] {
            lines.read(line, &ORIGIN);
        }
        assert_eq!(lines.packets.len(), 1);
        assert_eq!(lines.skipped(), [2, 1, 0, 1]);
        assert_eq!(lines.meter.lines[Input::File as usize].load(Relaxed), 5);
    }

    #[test]
    fn repeated_lines_count_for_their_stream_and_are_bounded() {
        let mut lines = Lines::new();
        let last = "Dec  3 10:11:13 fw1 last message repeated 3 times";
        lines.read(PACKET, &ORIGIN);
        lines.read(last, &ORIGIN);
        assert_eq!(lines.packets.len(), 4);
        // Another stream has no line to repeat.
        lines.read(last, &Origin { stream: 1, ..ORIGIN });
        assert_eq!((lines.packets.len(), lines.skipped()), (4, [1, 0, 0, 0]));
        lines.read(
            &format!("Dec  3 10:11:12 fw1 kernel: message repeated 28 times: [ {PACKET}]"),
            &ORIGIN,
        );
        assert_eq!(lines.packets.len(), 32);
        // What is between them is repeated, which is no packet.
        lines.read("Dec  3 10:11:12 fw1 kernel: other", &ORIGIN);
        lines.read(last, &ORIGIN);
        assert_eq!(lines.packets.len(), 32);
        lines.read(
            &format!("Dec  3 10:11:12 fw1 kernel: message repeated 4000000000 times: [ {PACKET}]"),
            &ORIGIN,
        );
        assert_eq!(lines.packets.len(), 10_032);
        assert_eq!(lines.skipped()[SkipReason::Malformed as usize], 3_999_990_000);
    }

    /// What a client sends to a program can be in the program's lines.
    #[test]
    fn text_of_other_programs_is_no_packet() {
        let mut lines = Lines::new();
        for line in [
            "Dec  3 10:11:12 fw1 sshd[7]: message repeated 2 times: [ Invalid user PACKET]",
            "Dec  3 10:11:12 fw1 node[123]: last message repeated 99999 times",
            "Dec  3 10:11:12 fw1 node[123]: kernel: PACKET",
            "Dec  3 10:11:12 fw1 sshd[7]: Invalid user \0PACKET",
            "2026/11/28 10:00:00 fw1 nginx[7]: GET /x PACKET",
            "<38>1 2026-12-03T10:11:12Z fw1 nginx 7 - [a@1 uri=\"/x PACKET",
            "<38>nginx: Invalid user PACKET",
            "<14>nginx: Invalid user PACKET",
            "<86>Dec  3 10:11:12 fw1 PACKET",
        ] {
            lines.read(&line.replace("PACKET", PACKET), &ORIGIN);
            assert_eq!(lines.packets.len(), 0, "{line}");
        }
        assert_eq!(lines.skipped()[SkipReason::NotAPacket as usize], 9);
    }

    /// The packet of a line with this time, and whether the time was counted as a wrong one.
    fn time_of(text: &str, limits: TimeLimits) -> (Option<u64>, u64) {
        let mut lines = Lines::new();
        let line = format!("{text} fw2 kernel: {PACKET}");
        lines.read(&line, &Origin { reference: NOW, limits, ..ORIGIN });
        (lines.packets[0].1, lines.meter.wrong_times[Input::File as usize].load(Relaxed))
    }

    const NOW: u64 = 1_796_292_672_000_000;

    #[test]
    fn a_wrong_time_is_that_of_the_arrival() {
        let (own, received) = (TimeLimits::OWN, TimeLimits::RECEIVED);
        for limits in [TimeLimits::RECORDED, own, received] {
            assert_eq!(time_of("2026-12-03T10:11:12Z", limits), (Some(NOW), 0));
            assert_eq!(time_of("2998-01-01T00:00:00Z", limits), (None, 1));
        }
        for limits in [own, received] {
            let latest = NOW + 5 * MINUTE;
            assert_eq!(time_of("2026-12-03T10:16:12Z", limits), (Some(latest), 0));
            assert_eq!(time_of("2026-12-03T10:16:13Z", limits), (None, 1));
        }
        assert_eq!(time_of("2026-12-04T10:11:12Z", TimeLimits::RECORDED), (Some(NOW + DAY), 0));
        // A clock that starts in 1970, and a message that a relay kept.
        assert_eq!(time_of("1970-01-01T00:00:07Z", received), (None, 1));
        assert_eq!(time_of("1970-01-01T00:00:07Z", own), (Some(7_000_000), 0));
        assert_eq!(time_of("2026-12-02T10:11:12Z", received), (Some(NOW - DAY), 0));
        assert_eq!(time_of("2026-12-02T10:11:11Z", received), (None, 1));
        // Without a year, a time of the day after tomorrow is one of the last year.
        assert_eq!(time_of("Dec  5 10:11:12", received), (None, 1));
    }

    #[test]
    fn hosts_are_others_than_this_one() {
        let mut lines = Lines::new();
        for host in ["fw1", "FW1.example.net", "localhost", "fw2"] {
            lines.read(&format!("Dec  3 10:11:12 {host} kernel: {PACKET}"), &ORIGIN);
        }
        lines.read(PACKET, &Origin { sender: b"192.0.2.9", ..ORIGIN });
        let hosts: Vec<_> = lines.packets.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["", "", "", "fw2", "192.0.2.9"]);
    }

    #[test]
    fn times_since_the_start_are_those_of_this_host() {
        let mut lines = Lines::new();
        let line = format!("4,7,5000001,-;{PACKET}");
        lines.read(&line, &Origin { boot: Some(7_000_000), ..ORIGIN });
        lines.read(&line, &Origin { unknown: Some(3), ..ORIGIN });
        lines.read(&line, &ORIGIN);
        let times: Vec<_> = lines.packets.iter().map(|(_, time)| *time).collect();
        assert_eq!(times, [Some(12_000_001), Some(3), None]);
    }
}
