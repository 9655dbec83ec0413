//! The formats of rows.

mod capture;
mod ecs;
mod json;
mod syslog;
mod time;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub(super) use self::capture::{CaptureFormat, LinkLayer};
use self::{ecs::EcsRow, json::JsonRow};
use super::ulogd::{UlogdPacket, gprint, logemu, ulogd_json};
use crate::{
    event::{Event, Names},
    mirror::{anonymize::Anonymizer, row::Row, row_builder::RowBuilder},
};

/// The value of `output.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// A JSON object a line, with the columns of the mirror's table as keys.
    #[default]
    Json,
    /// The same with the field names of the Elastic Common Schema.
    Ecs,
    /// Messages of RFC 5424, whose text is that of [`Self::Logemu`].
    Syslog,
    /// The lines of ulogd's plugin LOGEMU.
    Logemu,
    /// The lines of ulogd's plugin GPRINT.
    Gprint,
    /// The lines of ulogd's plugin JSON.
    UlogdJson,
    /// A capture in the format of libpcap.
    Pcap,
    /// A capture in the format pcapng.
    Pcapng,
}

impl OutputFormat {
    /// Whether the rows are packets of a capture, and not text.
    #[must_use]
    pub fn is_capture(self) -> bool {
        matches!(self, Self::Pcap | Self::Pcapng)
    }

    /// Whether the rows need the bytes of the packet. Packets of the kernel log have none.
    #[must_use]
    pub fn needs_bytes(self) -> bool {
        !self.can_anonymize()
    }

    /// Whether addresses in the rows can be anonymized: all others have the bytes of the packet.
    #[must_use]
    pub fn can_anonymize(self) -> bool {
        matches!(self, Self::Json | Self::Ecs)
    }
}

/// Makes rows of one format, on one thread.
pub(super) struct Formatter {
    pub(super) format: OutputFormat,
    pub(super) capture: CaptureFormat,
    pub(super) rows: RowBuilder,
    pub(super) anonymizer: Anonymizer,
    /// Name of this host.
    pub(super) host: String,
    /// Whether lines of text begin with time and host: the journal has fields for them.
    pub(super) has_header: bool,
    /// The zone of the times of ulogd.
    pub(super) zone: TimeZone,
}

impl Formatter {
    /// Appends the row of an event that represents `weight` packets, without a newline. `message` is the packet's message
    /// of NFLOG. Returns false if the format needs one and there is none.
    pub(super) fn append(
        &mut self,
        (event, message): (&Event, &[u8]),
        names: &Names,
        weight: u32,
        bytes: &mut Vec<u8>,
    ) -> bool {
        match self.format {
            OutputFormat::Json => {
                let row = self.row(event, weight);
                append_json(bytes, &JsonRow::new(&row, &self.host));
            }
            OutputFormat::Ecs => {
                let row = self.row(event, weight);
                append_json(bytes, &EcsRow::new(&row, &self.host));
            }
            OutputFormat::Pcap | OutputFormat::Pcapng => {
                return self.capture.append(event, message, bytes);
            }
            OutputFormat::Syslog
            | OutputFormat::Logemu
            | OutputFormat::Gprint
            | OutputFormat::UlogdJson => {
                let Some(packet) = UlogdPacket::new(event, message, names) else { return false };
                self.append_text(event.time, &packet, bytes);
            }
        }
        true
    }

    fn append_text(&self, time: u64, packet: &UlogdPacket<'_>, bytes: &mut Vec<u8>) {
        match self.format {
            OutputFormat::Gprint => gprint(packet, bytes),
            OutputFormat::UlogdJson => {
                ulogd_json(packet, &time::ulogd_json(time, &self.zone), bytes);
            }
            OutputFormat::Syslog if self.has_header => {
                syslog::header(time, &self.host, bytes);
                logemu(packet, bytes);
            }
            _ if !self.has_header => logemu(packet, bytes),
            _ => {
                bytes.extend_from_slice(time::logemu(time, &self.zone).as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(self.host.as_bytes());
                bytes.push(b' ');
                logemu(packet, bytes);
            }
        }
    }

    fn row(&mut self, event: &Event, weight: u32) -> Row {
        let mut row = self.rows.row(event, weight);
        self.anonymizer.apply(&mut row);
        row
    }
}

/// Appends a value as JSON.
fn append_json(bytes: &mut Vec<u8>, value: &impl Serialize) {
    // Only a map with other keys than strings fails, and a writer.
    let _ = serde_json::to_writer(bytes, value);
}
