//! The columns of ulogd's tables that rows are made of, with their names in every version of its schemas.

/// A value that is read from a row of ulogd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Field {
    Seconds,
    Microseconds,
    /// When the row was inserted, seconds: for packets without a time of their own.
    Inserted,
    Hook,
    Prefix,
    Mark,
    InDevice,
    OutDevice,
    Family,
    Uid,
    HardwareAddress,
    LinkHeader,
    Source,
    Destination,
    Protocol,
    Ttl,
    HopLimit,
    TotalLength,
    PayloadLength,
    PacketLength,
    TcpSource,
    TcpDestination,
    TcpUrg,
    TcpAck,
    TcpPsh,
    TcpRst,
    TcpSyn,
    TcpFin,
    UdpSource,
    UdpDestination,
    SctpSource,
    SctpDestination,
    IcmpType,
    IcmpCode,
    Icmpv6Type,
    Icmpv6Code,
}

impl Field {
    /// Every field in the order of its number, with the names of its column. The first one that a table has is used.
    pub(super) const ALL: [(Self, &[&str]); 36] = [
        (Self::Seconds, &["oob_time_sec"]),
        (Self::Microseconds, &["oob_time_usec"]),
        (Self::Inserted, &["timestamp"]),
        (Self::Hook, &["oob_hook"]),
        (Self::Prefix, &["oob_prefix"]),
        (Self::Mark, &["oob_mark"]),
        (Self::InDevice, &["oob_in"]),
        (Self::OutDevice, &["oob_out"]),
        (Self::Family, &["oob_family"]),
        (Self::Uid, &["oob_uid"]),
        (Self::HardwareAddress, &["mac_saddr_str", "mac_saddr"]),
        (Self::LinkHeader, &["mac_str", "raw_header", "raw_mac"]),
        (Self::Source, &["ip_saddr_bin", "ip_saddr_str", "ip_saddr"]),
        (Self::Destination, &["ip_daddr_bin", "ip_daddr_str", "ip_daddr"]),
        (Self::Protocol, &["ip_protocol"]),
        (Self::Ttl, &["ip_ttl"]),
        (Self::HopLimit, &["ip6_hoplimit"]),
        (Self::TotalLength, &["ip_totlen"]),
        (Self::PayloadLength, &["ip6_payloadlen"]),
        (Self::PacketLength, &["raw_pktlen"]),
        (Self::TcpSource, &["tcp_sport"]),
        (Self::TcpDestination, &["tcp_dport"]),
        (Self::TcpUrg, &["tcp_urg"]),
        (Self::TcpAck, &["tcp_ack"]),
        (Self::TcpPsh, &["tcp_psh"]),
        (Self::TcpRst, &["tcp_rst"]),
        (Self::TcpSyn, &["tcp_syn"]),
        (Self::TcpFin, &["tcp_fin"]),
        (Self::UdpSource, &["udp_sport"]),
        (Self::UdpDestination, &["udp_dport"]),
        (Self::SctpSource, &["sctp_sport"]),
        (Self::SctpDestination, &["sctp_dport"]),
        (Self::IcmpType, &["icmp_type"]),
        (Self::IcmpCode, &["icmp_code"]),
        (Self::Icmpv6Type, &["icmpv6_type"]),
        (Self::Icmpv6Code, &["icmpv6_code"]),
    ];

    /// The field's column in ulogd's current schema, for messages.
    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].1[0]
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Whether its values are bytes rather than text.
    pub(super) is_binary: bool,
}

/// A row of ulogd: its id, and the value of each field as text, if the table has it. Binary values are `x` and
/// hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub(super) struct UlogdRow {
    pub(super) id: u64,
    pub(super) values: Vec<Option<Vec<u8>>>,
}

impl UlogdRow {
    /// Number of bytes of its values.
    pub(super) fn bytes(&self) -> usize {
        self.values.iter().flatten().map(Vec::len).sum()
    }

    /// The value of a field; `None` for NULL and for an empty text.
    pub(super) fn value(&self, field: Field) -> Option<&[u8]> {
        let value = self.values.get(field as usize)?.as_deref()?;
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        for (place, (field, names)) in Field::ALL.iter().enumerate() {
            assert_eq!((*field as usize, field.name()), (place, names[0]));
        }
    }
}
