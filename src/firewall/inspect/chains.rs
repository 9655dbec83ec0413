//! The model of firewall rules, independent of the tool that listed them.

use serde_json::Value;

/// A table of chains; rules jump to chains of the same table only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Family or program, and name: for example `inet filter` or `iptables filter`.
    pub place: String,
    /// The syntax of its rules.
    pub syntax: Syntax,
    /// Whether the kernel skips it (`flags dormant`).
    pub dormant: bool,
    /// Its chains, in the order of the listing.
    pub chains: Vec<Chain>,
}

/// The syntax of rules.
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
    /// Its hook, for a base chain; `None` for a regular chain, which packets enter by jumps only.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// The hook of a base chain, and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Name of the hook in lower case: `prerouting`, `input`, `forward`, `output`, `postrouting`, …
    pub hook: String,
    /// Whether its policy drops packets.
    pub drops: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Description of the rule in messages.
    pub text: String,
    /// nft's handle of the rule.
    pub handle: Option<u64>,
    /// Which packets it matches; never all, for a rule with a verdict map.
    pub condition: Condition,
    /// The condition in the tool's syntax.
    pub matches: Matches,
    /// Whether a copy of `matches` matches the same packets: false for rates, counters, random choice and maps.
    pub is_copyable: bool,
    /// One verdict, none, or those of a verdict map.
    pub verdicts: Vec<Verdict>,
    /// Its log target.
    pub log: Option<LogTarget>,
    /// Whether the sub-command `rules` created it.
    pub is_ours: bool,
}

/// Which packets a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every packet.
    Always,
    /// Every packet that was not received on the loopback device, `! -i lo`.
    NotLoopback,
    /// Only packets received on the loopback device, some or all.
    Loopback,
    /// Some packets.
    Some,
}

/// A rule's condition in the tool's syntax, without comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matches {
    /// Words of iptables-save(8), unquoted.
    Iptables(Vec<String>),
    /// `match` statements of libnftables-json(5).
    Nft(Vec<Value>),
}

/// The verdict of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet passes the remaining chains of this hook and table.
    Accept,
    /// The packet is dropped or rejected.
    Drop,
    /// The packet passes or continues: a queue, or an unknown target.
    Unknown,
    /// The packet continues after the jump to this chain, or the policy applies.
    Return,
    /// The packet traverses that chain, and continues here if it returns.
    Jump(String),
    /// The packet traverses that chain, and continues in the calling chain if it returns.
    Goto(String),
}

impl Verdict {
    /// The target chain of a jump or goto.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop | Self::Unknown | Self::Return => None,
        }
    }
}

/// The target of a rule that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// An NFLOG group, with a prefix.
    Group(u16, String),
    /// The kernel's log, `LOG`.
    Kernel,
}
