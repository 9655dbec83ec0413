//! Plans which packets to log, and in which chains.

mod dropped;
mod outcome;
mod spread;

pub use dropped::{Placement, Placements, first_doomed, placements};
pub use spread::IpVersion;

/// The tool that loads the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// nft(8): a file for `nft -f`; for dropped packets a script.
    Nft,
    /// iptables(8) and ip6tables(8): a script.
    Iptables,
    /// ufw(8): a script that adds lines to its files.
    Ufw,
    /// firewalld(1): a script of `firewall-cmd` calls.
    Firewalld,
}

/// Which packets are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// Every inbound packet, including forwarded ones.
    All,
    /// Packets that open a connection, accepted or not.
    New,
    /// Packets that the firewall drops or rejects by its policy or its last rule, because no rule
    /// accepts them; not those that a deny rule of your own drops.
    Dropped,
}

impl Wanted {
    /// The default log prefix.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::All => "inbound",
            Self::New => "new",
            Self::Dropped => "dropped",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::All => "all inbound packets",
            Self::New => "packets that open a connection",
            Self::Dropped => "packets that the firewall drops by its policy or its last rule",
        }
    }
}

/// The parameters of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesPlan {
    /// Which packets are logged.
    pub wanted: Wanted,
    /// The NFLOG group, or the first of several.
    pub group: u16,
    /// Number of groups, over which flows are spread; at least 1, and the last one is at most 65535.
    pub spread: u16,
    /// Chooses the hash that spreads them, so that no sender knows the group of its packets.
    pub seed: u32,
    /// The log prefix: letters, digits, spaces and `-_.:`.
    pub prefix: String,
    /// Maximum number of packets logged per second, 1 to 10000; `None` for no limit.
    pub limit: Option<u32>,
    /// Bytes of each packet that the kernel copies.
    pub copy_range: u32,
    /// Maximum number of packets that the kernel collects into one datagram.
    pub queue_threshold: u32,
    /// Excluded TCP ports: those of the exporter.
    pub spare_tcp_ports: Vec<u16>,
}

impl RulesPlan {
    /// The comment that describes the rules, with the limit that the tool enforces.
    pub(super) fn title(&self, limit: Option<u32>) -> String {
        let limit = match (limit, self.limit) {
            (Some(kept), Some(asked)) if kept != asked => format!(
                "at most {kept} per second\n# (requested: {asked}; this tool's limits are 10000 divided by a whole number)"
            ),
            (Some(limit), _) => format!("at most {limit} per second"),
            (None, _) => "without a limit".into(),
        };
        let (wanted, groups) = (self.wanted.title(), self.groups_text());
        format!("# Logs {wanted} to NFLOG {groups}, {limit}.\n{}", self.spread_comment())
    }

    /// The limit that xtables enforce, at most the requested one: they count the time between packets in whole
    /// units of 1/10,000 s (`XT_LIMIT_SCALE`).
    pub(super) fn xtables_limit(&self) -> Option<u32> {
        Some(self.xtables_limit_of_group()? * u32::from(self.spread))
    }

    /// The limit of the rule of each group.
    fn xtables_limit_of_group(&self) -> Option<u32> {
        const SCALE: u32 = 10_000;
        self.limit_of_group().map(|limit| SCALE / SCALE.div_ceil(limit.min(SCALE)))
    }

    /// The limit where each group has a rule of its own: its part, at least 1.
    pub(super) fn limit_of_group(&self) -> Option<u32> {
        self.limit.map(|limit| (limit / u32::from(self.spread)).max(1))
    }

    /// The rule that logs to the only group, without its chain, in the syntax of xtables.
    pub(super) fn xtables_rule(&self) -> String {
        self.xtables_rule_of("", self.group)
    }

    /// The rules that log, one for each group, without their chain, in the syntax of xtables.
    pub(super) fn xtables_rules(&self, version: IpVersion) -> Vec<String> {
        if self.spread == 1 {
            return vec![self.xtables_rule()];
        }
        let rule = |(number, group)| {
            self.xtables_rule_of(&format!("{} ", self.bpf_hash_match(version, number)), group)
        };
        (0..).zip(self.groups()).map(rule).collect()
    }

    fn xtables_rule_of(&self, hash: &str, group: u16) -> String {
        let state = match self.wanted {
            Wanted::New => "-m conntrack --ctstate NEW ",
            Wanted::All | Wanted::Dropped => "",
        };
        let limit = match self.xtables_limit_of_group() {
            Some(limit) => format!("-m limit --limit {limit}/second --limit-burst {limit} "),
            None => String::new(),
        };
        // The kernel's field has 16 bits.
        let threshold = self.queue_threshold.min(u32::from(u16::MAX));
        format!(
            "{hash}{state}{limit}-j NFLOG --nflog-group {group} --nflog-prefix \"{}\" --nflog-size {} --nflog-threshold {threshold}",
            self.prefix, self.copy_range
        )
    }

    /// The matches of packets that our chain excludes: loopback and the exporter's ports. Scrapes are never
    /// dropped, so those ports need no exclusion for dropped packets.
    pub(super) fn xtables_excluded(&self) -> impl Iterator<Item = String> {
        let ports: &[u16] =
            if self.wanted == Wanted::Dropped { &[] } else { &self.spare_tcp_ports };
        let ports = ports.iter().map(|port| format!("-p tcp --dport {port}"));
        std::iter::once("-i lo".to_owned()).chain(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares limits with those that `xt_limit` enforces: whole units of 1/10,000 s, rounded down.
    #[test]
    fn limits_of_xtables_are_exact() {
        for asked in 1..=10_000 {
            let plan = RulesPlan {
                wanted: Wanted::New,
                group: 1,
                spread: 1,
                seed: 0,
                prefix: "new".into(),
                limit: Some(asked),
                copy_range: 128,
                queue_threshold: 100,
                spare_tcp_ports: Vec::new(),
            };
            let printed = plan.xtables_limit().unwrap();
            let kept = 10_000.0 / f64::from(10_000 / printed);
            assert!(kept <= f64::from(asked), "{asked}: {kept}");
            assert!(kept - f64::from(printed) < 1.0, "{asked}: {printed} printed, {kept} enforced");
            assert!(printed * 2 >= asked.min(5_000), "{asked}: {printed}");
        }
    }
}
