//! Rules in the words of the tools that load them: what is asked for. Each tool has a module.

mod firewalld;
mod iptables;
mod nft;
mod ufw;

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
    /// Every inbound packet, and every packet that is passed on.
    All,
    /// The packets that begin something, whatever becomes of them.
    New,
    /// The packets that the firewall turns away by its policy or its last rule, because no rule
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

    /// As the command line has it.
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::New => "new",
            Self::Dropped => "dropped",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::All => "all inbound packets",
            Self::New => "packets that begin a connection",
            Self::Dropped => "packets that the firewall turns away by its policy or its last rule",
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

/// The chain of our own, for the tools that have chains of xtables.
const CHAIN: &str = "NFLOG_EXPORTER";

/// The words on what `dropped` leaves out.
const NOT_DROPPED: &str = "\
    # Only what no rule accepts. What a deny rule of your own drops is not in it: log it by a rule before\n\
    # that one.\n";

impl RulesPlan {
    /// The rules, ready to load; their first lines say how, and how to get rid of them.
    #[must_use]
    pub fn text(&self, tool: Tool) -> String {
        match tool {
            Tool::Nft => nft::text(self),
            Tool::Iptables => iptables::text(self),
            Tool::Ufw => ufw::text(self),
            Tool::Firewalld => firewalld::text(self),
        }
    }

    /// What is logged where to, with the limit as the tool keeps it.
    fn title(&self, limit: Option<u32>) -> String {
        let limit = match (limit, self.limit) {
            (Some(kept), Some(asked)) if kept != asked => format!(
                "at most {kept} a second\n# ({asked} were asked for; this tool's limits are 10000 divided by a whole number)"
            ),
            (Some(limit), _) => format!("at most {limit} a second"),
            (None, _) => "without a limit".into(),
        };
        format!("# Logs {} to NFLOG group {}, {limit}.\n", self.wanted.title(), self.group)
    }

    /// How a script is run, and run to take its rules away.
    fn usage(&self, tool: &str) -> String {
        let command = format!("nflog_exporter rules --for {tool} --log {} …", self.wanted.name());
        format!(
            "# Run as root, as often as you like: {command} | sh\n\
             # Remove: {command} | sh -s remove\n"
        )
    }

    /// The limit as xtables keep it, never above what was asked for: they count in whole
    /// ten-thousandths of a second between packets (`XT_LIMIT_SCALE`).
    fn xtables_limit(&self) -> Option<u32> {
        const SCALE: u32 = 10_000;
        self.limit.map(|limit| SCALE / SCALE.div_ceil(limit.clamp(1, SCALE)))
    }

    /// What a packet is matched for further, and where to, in the words of xtables.
    fn xtables_rule(&self) -> String {
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

    /// The matches of what the chain of our own passes over: loopback, and the exporter's scrapes, of
    /// which none is dropped.
    fn xtables_spared(&self) -> impl Iterator<Item = String> {
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
    fn limits_of_xtables_are_kept_and_told() {
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
            assert!(kept - f64::from(told) < 1.0, "{asked}: {told} said, {kept} kept");
            assert!(told * 2 >= asked.min(5_000), "{asked}: {told}");
        }
    }
}
