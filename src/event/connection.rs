//! The connection of a packet, as the kernel's connection tracking knows it.

use serde::{Deserialize, Serialize};

/// Connection tracking's view of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// State of the connection at this packet; `None` for a number without a name.
    pub state: Option<ConnectionState>,
    /// Zone of the connection, 0 by default.
    pub zone: u16,
}

/// The state of a connection, with the names of nftables (`ct state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ConnectionState {
    /// The first packet of a connection.
    New,
    /// A packet of a connection with packets in both directions.
    Established,
    /// The first packet of a connection that another one expects, or an ICMP error about another one.
    Related,
    /// A rule excluded the packet from tracking.
    Untracked,
}

impl ConnectionState {
    /// All states, in the order of their numbers here.
    pub const ALL: [Self; 4] = [Self::New, Self::Established, Self::Related, Self::Untracked];

    /// The state of a number of `enum ip_conntrack_info`, `linux/netfilter/nf_conntrack_common.h`.
    #[must_use]
    pub fn from_info(info: u32) -> Option<Self> {
        Some(match info {
            // The second number is that of a reply.
            0 | 3 => Self::Established,
            1 | 4 => Self::Related,
            // 5 is `IP_CT_NEW_REPLY`.
            2 | 5 => Self::New,
            7 => Self::Untracked,
            _ => return None,
        })
    }

    /// The state's name in nftables: the value of the label `ct_state`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Related => "related",
            Self::Untracked => "untracked",
        }
    }
}
