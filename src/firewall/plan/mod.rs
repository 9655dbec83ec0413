//! What is to be logged, and where that is.

mod dropped;
mod outcome;

pub use dropped::{Placement, Placements, first_doomed, placements};

/// Who loads the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// nft(8): a file for `nft -f`; for dropped packets a script.
    Nft,
    /// iptables(8) and ip6tables(8): a script.
    Iptables,
    /// ufw(8): a script that puts lines into its files.
    Ufw,
    /// firewalld(1): a script of `firewall-cmd` calls.
    Firewalld,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// Every inbound packet, forwarded ones too.
    All,
    /// Packets that begin a connection, whatever becomes of them.
    New,
    /// Packets that the firewall drops or rejects by its policy or its last rule, because no rule
    /// accepts them; what a deny rule of your own drops is not in it.
    Dropped,
}

impl Wanted {
    /// The log prefix, where none is asked for.
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
            Self::New => "packets that begin a connection",
            Self::Dropped => "packets that the firewall drops by its policy or its last rule",
        }
    }
}

/// What the rules are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesPlan {
    /// What is logged.
    pub wanted: Wanted,
    /// The NFLOG group.
    pub group: u16,
    /// The log prefix: letters, digits and `-_.:` and spaces.
    pub prefix: String,
    /// Most packets logged in a second, 1 to 10000; `None` for no limit.
    pub limit: Option<u32>,
    /// Bytes of each packet the kernel copies.
    pub copy_range: u32,
    /// Most packets the kernel gathers into one datagram.
    pub queue_threshold: u32,
    /// TCP ports of the exporter itself, whose packets are left out.
    pub spare_tcp_ports: Vec<u16>,
}

impl RulesPlan {
    /// What is logged where to, with the limit as the tool keeps it.
    pub(super) fn title(&self, limit: Option<u32>) -> String {
        let limit = match (limit, self.limit) {
            (Some(kept), Some(asked)) if kept != asked => format!(
                "at most {kept} a second\n# ({asked} were asked for; this tool's limits are 10000 divided by a whole number)"
            ),
            (Some(limit), _) => format!("at most {limit} a second"),
            (None, _) => "without a limit".into(),
        };
        format!("# Logs {} to NFLOG group {}, {limit}.\n", self.wanted.title(), self.group)
    }

    /// The limit as xtables keep it, never above what was asked for: they count in whole
    /// ten-thousandths of a second between packets (`XT_LIMIT_SCALE`).
    pub(super) fn xtables_limit(&self) -> Option<u32> {
        const SCALE: u32 = 10_000;
        self.limit.map(|limit| SCALE / SCALE.div_ceil(limit.clamp(1, SCALE)))
    }

    /// The rule that logs, without its chain, in the words of xtables.
    pub(super) fn xtables_rule(&self) -> String {
        let state = match self.wanted {
            Wanted::New => "-m conntrack --ctstate NEW ",
            Wanted::All | Wanted::Dropped => "",
        };
        let limit = match self.xtables_limit() {
            Some(limit) => format!("-m limit --limit {limit}/second --limit-burst {limit} "),
            None => String::new(),
        };
        // The kernel takes 16 bits of it.
        let threshold = self.queue_threshold.min(u32::from(u16::MAX));
        format!(
            "{state}{limit}-j NFLOG --nflog-group {} --nflog-prefix \"{}\" --nflog-size {} --nflog-threshold {threshold}",
            self.group, self.prefix, self.copy_range
        )
    }

    /// The matches of what our chain leaves out: loopback, and the exporter's scrapes, of which none is
    /// dropped.
    pub(super) fn xtables_spared(&self) -> impl Iterator<Item = String> {
        let ports: &[u16] =
            if self.wanted == Wanted::Dropped { &[] } else { &self.spare_tcp_ports };
        let ports = ports.iter().map(|port| format!("-p tcp --dport {port}"));
        std::iter::once("-i lo".to_owned()).chain(ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds limits against what `xt_limit` makes of them: whole ten-thousandths, rounded down.
    #[test]
    fn limits_of_xtables_are_kept() {
        for asked in 1..=10_000 {
            let plan = RulesPlan {
                wanted: Wanted::New,
                group: 1,
                prefix: "new".into(),
                limit: Some(asked),
                copy_range: 128,
                queue_threshold: 100,
                spare_tcp_ports: Vec::new(),
            };
            let told = plan.xtables_limit().unwrap();
            let kept = 10_000.0 / f64::from(10_000 / told);
            assert!(kept <= f64::from(asked), "{asked}: {kept}");
            assert!(kept - f64::from(told) < 1.0, "{asked}: {told} printed, {kept} kept");
            assert!(told * 2 >= asked.min(5_000), "{asked}: {told}");
        }
    }
}
