//! The firewall's rules as one plain model, whatever tool printed them.

/// A table: chains jump to chains of their own table only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// How it is told, for example `inet filter` or `iptables filter`.
    pub(super) place: String,
    pub(super) syntax: Syntax,
    /// Whether the kernel passes it over, as it was told to (`flags dormant`).
    pub(super) dormant: bool,
    pub(super) chains: Vec<Chain>,
}

/// Whose words its rules are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Iptables,
    Nft,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: String,
    /// Whether the kernel itself sends packets to it: a hook of nftables, `INPUT` of iptables.
    pub(super) base: bool,
    /// In their order.
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Where to find it in its chain, and what it does.
    pub(super) told: String,
    /// Whether its verdicts are for some packets only. Those of a verdict map always are.
    pub(super) conditional: bool,
    /// One, none, or those of a verdict map.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) log: Option<Log>,
}

/// What becomes of a packet behind a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has left the hook's chains, one way or another.
    Final,
    /// It goes on behind the jump that led here, or leaves.
    Return,
    /// It goes through that chain and comes back, unless that decides about it.
    Jump(String),
    /// It goes through that chain, and then on as after a return from this one.
    Goto(String),
}

impl Verdict {
    pub(super) fn target(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Final | Self::Return => None,
        }
    }
}

/// Where a rule logs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// A group, under a prefix.
    Group(u16, String),
    /// The kernel's log, `LOG`.
    Kernel,
}
