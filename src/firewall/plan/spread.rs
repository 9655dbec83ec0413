//! How packets are spread over several NFLOG groups: by a hash of both addresses, so that a flow has one group.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::RulesPlan;

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The versions in a table of nft of this family.
    pub fn of_family(family: &str) -> &'static [Self] {
        match family {
            "ip" => &[Self::V4],
            "ip6" => &[Self::V6],
            _ => &Self::ALL,
        }
    }

    /// Its name in nft.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// The offset of both addresses in the header, and their length in words of 32 bits.
    fn addresses(self) -> (u32, u32) {
        match self {
            Self::V4 => (12, 2),
            Self::V6 => (8, 8),
        }
    }
}

impl RulesPlan {
    /// The groups that are logged to.
    #[must_use]
    pub fn groups(&self) -> RangeInclusive<u16> {
        self.group..=self.group + (self.spread - 1)
    }

    /// The groups in messages: `group 1`, or `groups 1 to 4`.
    #[must_use]
    pub fn groups_text(&self) -> String {
        match self.spread {
            1 => format!("group {}", self.group),
            _ => format!("groups {} to {}", self.groups().start(), self.groups().end()),
        }
    }

    /// The comment about several groups: what is in each, and how the exporter reads them.
    pub(super) fn spread_comment(&self) -> String {
        if self.spread == 1 {
            return String::new();
        }
        let groups: Vec<String> = self.groups().map(|group| group.to_string()).collect();
        let flags: Vec<String> =
            groups.iter().map(|group| format!("--nflog.group {group}")).collect();
        format!(
            "# A hash of source and destination address chooses the group, so all packets of a flow have the same one.\n\
             # Read all of them: {}\n\
             # or in the configuration: [nflog] groups = [{}]\n",
            flags.join(" "),
            groups.join(", ")
        )
    }

    /// The `match` of nft's JSON for the packets of the group with this number, from 0.
    #[must_use]
    pub fn nft_hash_match(&self, version: IpVersion, number: u16) -> Value {
        let field =
            |name: &str| json!({ "payload": { "protocol": version.name(), "field": name } });
        json!({ "match": {
            "op": "==",
            "left": { "jhash": {
                "mod": self.spread, "seed": self.seed,
                "expr": { "concat": [field("saddr"), field("daddr")] },
            } },
            "right": number,
        } })
    }

    /// The match of xtables for the packets of the group with this number, from 0: a program for classic BPF. xtables have
    /// no match that hashes addresses and works before conntrack, and `statistic` chooses for each packet.
    ///
    /// The hash multiplies by odd numbers, so its highest bits depend on every bit of the addresses; they choose the group
    /// (Lemire, Fast Random Integer Generation in an Interval, 2019).
    pub(super) fn bpf_hash_match(&self, version: IpVersion, number: u16) -> String {
        // Two odd numbers of the seed.
        let first = self.seed.wrapping_mul(0x9e37_79b1) | 1;
        let second = self.seed.rotate_left(16).wrapping_mul(0x85eb_ca6b) | 1;
        let (start, words) = version.addresses();
        let mut program = Vec::new();
        for word in 0..words {
            // The hash so far is in X: `ld [offset]`, `xor x`, `mul #factor`, `tax`.
            program.push(format!("32 0 0 {}", start + 4 * word));
            if word > 0 {
                program.push("172 0 0 0".to_owned());
            }
            let factor = if word % 2 == 0 { first } else { second };
            program.push(format!("36 0 0 {factor}"));
            program.push("7 0 0 0".to_owned());
        }
        // `rsh #16`, `mul #groups`, `rsh #16`, `jeq #number`, `ret`.
        program.push("116 0 0 16".to_owned());
        program.push(format!("36 0 0 {}", self.spread));
        program.push("116 0 0 16".to_owned());
        program.push(format!("21 0 1 {number}"));
        program.push("6 0 0 1".to_owned());
        program.push("6 0 0 0".to_owned());
        format!("-m bpf --bytecode \"{},{}\"", program.len(), program.join(","))
    }
}
