//! The firewall's rules as one plain model, whatever tool printed them.

use serde_json::Value;

/// A table: chains jump to chains of their own table only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name in messages, for example `inet filter` or `iptables filter`.
    pub place: String,
    /// Which tool's words its rules are written in.
    pub syntax: Syntax,
    /// Whether the kernel skips it (`flags dormant`).
    pub dormant: bool,
    /// In the order of the listing.
    pub chains: Vec<Chain>,
}

/// Which tool's words rules are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// iptables(8) and ip6tables(8).
    Iptables,
    /// nft(8).
    Nft,
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Unique within its table.
    pub name: String,
    /// Where the kernel itself sends packets to it; `None` for a chain that rules jump to.
    pub base: Option<Base>,
    /// In their order.
    pub rules: Vec<Rule>,
}

/// Where the kernel enters a chain: a hook of nftables, `INPUT` of iptables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// In lower case: `prerouting`, `input`, `forward`, `output`, `postrouting`, …
    pub hook: String,
    /// Whether its policy drops what no rule decides about.
    pub drops: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule in messages: where to find it in its chain, and what it does.
    pub text: String,
    /// The number by which nft finds it again.
    pub handle: Option<u64>,
    /// Which packets it is for. Verdicts of a map are always for some only.
    pub condition: Condition,
    /// The condition in the tool's own words.
    pub matches: Matches,
    /// Whether a copy of `matches` matches the same packets: false where a rate, a counter, chance or a
    /// map decides too.
    pub is_copyable: bool,
    /// One, none, or those of a verdict map.
    pub verdicts: Vec<Verdict>,
    /// Where it logs to.
    pub log: Option<Log>,
    /// Whether `rules` made it.
    pub is_ours: bool,
}

/// Which packets a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every packet.
    Always,
    /// Every packet that did not come in on the loopback device, `! -i lo`.
    NotLoopback,
    /// Some or all packets that came in on the loopback device, and no others.
    Loopback,
    /// Some packets.
    Some,
}

/// A rule's condition in the tool's words, without comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matches {
    /// Words of iptables-save(8), unquoted.
    Iptables(Vec<String>),
    /// `match` statements of libnftables-json(5).
    Nft(Vec<Value>),
}

/// What becomes of a packet after a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this hook's chains of this table.
    Accept,
    /// It is dropped or rejected.
    Drop,
    /// It leaves this hook's chains, or goes on: a queue, or a target that is not known here.
    Unknown,
    /// It goes on after the jump that led here, or meets the policy.
    Return,
    /// It goes through that chain and comes back, unless that decides about it.
    Jump(String),
    /// It goes through that chain, and then on as after a return from this one.
    Goto(String),
}

impl Verdict {
    /// The chain that it leads to.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Unknown | Self::Return => None,
        }
    }
}

/// Where a rule logs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// A group, under a prefix.
    Group(u16, String),
    /// The kernel's log, `LOG`.
    Kernel,
}
