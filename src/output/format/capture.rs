//! Records of captures in the formats pcap and pcapng.
//!
//! <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>,
//! <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>. Numbers are in this host's byte order, which the
//! attributes in frames of link type NFLOG have too.

use serde::{Deserialize, Serialize};

use crate::{event::Event, source::nflog::Packet};

/// Maximum length of a frame: more than a message of NFLOG has, and the limit of libpcap.
const SNAPLEN: u32 = 262_144;

/// The link layer of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkLayer {
    /// Messages of NFLOG, with the log prefix, devices and mark.
    #[default]
    Nflog,
    /// Packets from their IP headers on.
    Raw,
}

impl LinkLayer {
    /// `LINKTYPE_NFLOG` and `LINKTYPE_RAW`, <https://www.tcpdump.org/linktypes.html>.
    fn number(self) -> u16 {
        match self {
            Self::Nflog => 239,
            Self::Raw => 101,
        }
    }
}

/// The format of a capture.
#[derive(Clone, Copy, Debug)]
pub(in crate::output) struct CaptureFormat {
    pub(in crate::output) link: LinkLayer,
    pub(in crate::output) is_pcapng: bool,
}

impl CaptureFormat {
    /// What each file begins with.
    pub(in crate::output) fn header(self) -> Vec<u8> {
        let link = self.link.number();
        let mut header = Vec::new();
        let mut add = |bytes: &[u8]| header.extend_from_slice(bytes);
        if self.is_pcapng {
            // A section header, then the description of one interface, whose times are microseconds by default.
            add(&0x0a0d_0d0a_u32.to_ne_bytes());
            add(&28_u32.to_ne_bytes());
            add(&0x1a2b_3c4d_u32.to_ne_bytes());
            for version in [1_u16, 0] {
                add(&version.to_ne_bytes());
            }
            add(&(-1_i64).to_ne_bytes());
            add(&28_u32.to_ne_bytes());
            add(&1_u32.to_ne_bytes());
            add(&20_u32.to_ne_bytes());
            for number in [link, 0] {
                add(&number.to_ne_bytes());
            }
            add(&SNAPLEN.to_ne_bytes());
            add(&20_u32.to_ne_bytes());
        } else {
            add(&0xa1b2_c3d4_u32.to_ne_bytes());
            for version in [2_u16, 4] {
                add(&version.to_ne_bytes());
            }
            let numbers = [0, 0, SNAPLEN, u32::from(link)];
            for number in numbers {
                add(&number.to_ne_bytes());
            }
        }
        header
    }

    /// Appends the record of a packet. Returns false if its source has no bytes of it, or none that the link layer allows.
    pub(super) fn append(self, event: &Event, message: &[u8], bytes: &mut Vec<u8>) -> bool {
        let frame = match self.link {
            _ if message.is_empty() => return false,
            LinkLayer::Nflog => message,
            LinkLayer::Raw => match Packet::read(message) {
                // The link type has nothing but IP.
                Ok(packet) if matches!(packet.network_payload(), [first, ..] if matches!(first >> 4, 4 | 6)) => {
                    packet.network_payload()
                }
                _ => return false,
            },
        };
        // A message is shorter than a datagram of netlink.
        let captured = u32::try_from(frame.len()).unwrap_or(SNAPLEN).min(SNAPLEN);
        let missing = event.headers.length.saturating_sub(event.captured_length);
        let original = captured.saturating_add(missing);
        let mut add = |bytes_of: &[u8]| bytes.extend_from_slice(bytes_of);
        let frame = &frame[..captured as usize];
        if self.is_pcapng {
            let padding = frame.len().next_multiple_of(4) - frame.len();
            let length = 32 + captured + u32::try_from(padding).unwrap_or_default();
            let (high, low) = (event.time >> 32, event.time & u64::from(u32::MAX));
            let (high, low) = (as_u32(high), as_u32(low));
            for number in [6, length, 0, high, low, captured, original] {
                add(&number.to_ne_bytes());
            }
            add(frame);
            add(&[0; 3][..padding]);
            add(&length.to_ne_bytes());
        } else {
            let (seconds, micros) = (event.time / 1_000_000, event.time % 1_000_000);
            for number in [as_u32(seconds), as_u32(micros), captured, original] {
                add(&number.to_ne_bytes());
            }
            add(frame);
        }
        true
    }
}

/// A number that the format has 32 bits for: seconds until the year 2106.
fn as_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::fixture, source::nflog::walk};

    const ONE: &[u8] = include_bytes!("../../../tests/data/nflog/1-packet.bin");

    fn record(format: CaptureFormat) -> Vec<u8> {
        let mut message = Vec::new();
        walk(ONE, |packet| message.extend_from_slice(packet.message));
        let event = Event { time: 5_000_007, captured_length: 33, ..fixture::unreadable() };
        let headers = crate::packet::Headers { length: 40, ..event.headers };
        let mut bytes = Vec::new();
        assert!(format.append(&Event { headers, ..event }, &message, &mut bytes));
        assert!(!format.append(&event, &[], &mut Vec::new()));
        bytes
    }

    #[test]
    fn a_record_of_pcap() {
        let format = CaptureFormat { link: LinkLayer::Raw, is_pcapng: false };
        assert_eq!(format.header().len(), 24);
        let record = record(format);
        let numbers: Vec<_> =
            record[..16].chunks(4).map(|it| u32::from_ne_bytes(it.try_into().unwrap())).collect();
        assert_eq!(numbers, [5, 7, 33, 40]);
        assert_eq!((record[16], record.len()), (0x45, 16 + 33));
    }

    #[test]
    fn a_block_of_pcapng_is_padded() {
        let format = CaptureFormat { link: LinkLayer::Raw, is_pcapng: true };
        assert_eq!(format.header().len(), 48);
        let record = record(format);
        assert_eq!(record.len(), 32 + 36);
        assert_eq!(record[4..8], record[record.len() - 4..]);
    }
}
