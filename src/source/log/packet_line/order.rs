//! The order in which the kernel writes the fields of a line.

/// A field, or a group of fields that have the same place. ulogd omits some of them, but keeps the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The header, `IN=` and `OUT=`.
    Header,
    InPort,
    OutPort,
    LinkHeader,
    Tunnel,
    Sender,
    Receiver,
    VlanProtocol,
    VlanId,
    LinkProtocol,
    /// `ARP`: the fields of another protocol follow.
    Arp,
    Source,
    Destination,
    Length,
    /// `TOS=`, `TC=`
    TrafficClass,
    Precedence,
    /// `TTL=`, `HOPLIMIT=`
    HopLimit,
    /// `ID=`, `FLOWLBL=`
    Id,
    /// IPv4 flags and options, IPv6 extension headers. Several words.
    Options,
    Protocol,
    /// `SPT=`, `TYPE=`
    First,
    /// `DPT=`, `CODE=`
    Second,
    /// `LEN=` of UDP, `ID=` of ICMP
    Third,
    Sequence,
    Acknowledgement,
    Window,
    Reserved,
    /// TCP flags. Several words.
    Flags,
    UrgentPointer,
    /// TCP options, or the rest of ICMP. Several words.
    Rest,
    Uid,
    Gid,
    Mark,
}

impl Place {
    /// Whether several words have the place.
    pub fn repeats(self) -> bool {
        matches!(self, Self::Options | Self::Flags | Self::Rest)
    }
}

impl Place {
    /// The place that the line has reached when this field comes; fields between them are optional. A line that has
    /// not continues with another line's end.
    pub fn follows(self) -> Self {
        match self {
            Self::Destination => Self::Source,
            Self::Length => Self::Destination,
            Self::TrafficClass => Self::Length,
            Self::Precedence | Self::HopLimit => Self::TrafficClass,
            Self::Id => Self::HopLimit,
            Self::Options | Self::Protocol | Self::Uid | Self::Gid | Self::Mark => Self::Id,
            Self::First | Self::Rest => Self::Protocol,
            Self::Second => Self::First,
            Self::Third | Self::Sequence | Self::Acknowledgement | Self::Window => Self::Second,
            Self::Reserved | Self::Flags | Self::UrgentPointer => Self::Window,
            _ => Self::Header,
        }
    }
}
