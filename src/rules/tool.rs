//! Rules in the words of the tools that load them: nft, iptables, ufw and firewalld.

use std::fmt::Write as _;

/// Who loads the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// nft(8): a file for `nft -f`.
    Nft,
    /// iptables(8): a file for `iptables-restore --noflush`, and ip6tables the same.
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
    /// The packets that the firewall turns away by its last rule or its policy.
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
            Self::Dropped => "packets that the firewall drops",
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

/// The chain and table of our own.
const CHAIN: &str = "NFLOG_EXPORTER";
const TABLE: &str = "nflog_rules";

impl RulesPlan {
    /// The rules, ready to load; their first lines say how, and how to get rid of them.
    #[must_use]
    pub fn text(&self, tool: Tool) -> String {
        match tool {
            Tool::Nft => self.nft(),
            Tool::Iptables => self.iptables(),
            Tool::Ufw => self.ufw(),
            Tool::Firewalld => self.firewalld(),
        }
    }

    fn title(&self) -> String {
        let limit = match self.limit {
            Some(limit) => format!("at most {limit} a second"),
            None => "without a limit".into(),
        };
        format!("Logs {} to NFLOG group {}, {limit}.", self.wanted.title(), self.group)
    }

    fn nft(&self) -> String {
        let limit = match self.limit {
            Some(limit) => format!("limit rate {limit}/second burst {limit} packets "),
            None => String::new(),
        };
        let log = format!(
            "{limit}log prefix \"{}\" group {} snaplen {} queue-threshold {}",
            self.prefix, self.group, self.copy_range, self.queue_threshold
        );
        let title = self.title();
        if self.wanted == Wanted::Dropped {
            return format!(
                "# {title}\n\
                 # Load once, behind your own rules: nft -f FILE; or write the rule into /etc/nftables.conf.\n\
                 # It is to be the last rule of the chain whose policy drops: here that of Debian's example,\n\
                 # inet filter input. A rule of yours that drops needs the same words before its `drop`.\n\
                 # Remove: nft -a list chain inet filter input; nft delete rule inet filter input handle N\n\
                 # Not needed any more: rules with `log` and no group, which write to the kernel's log.\n\
                 add rule inet filter input {log} comment \"nflog_exporter\"\n"
            );
        }
        let (priority, state) = match self.wanted {
            Wanted::All => ("-310", ""),
            // Behind conntrack, which is at -200.
            _ => ("-150", "ct state new "),
        };
        let mut spare = String::new();
        for port in &self.spare_tcp_ports {
            let _ = writeln!(spare, "        tcp dport {port} return");
        }
        format!(
            "# {title}\n\
             # Load, as often as you like: nft -f FILE; for good: include it in /etc/nftables.conf.\n\
             # Remove: nft delete table inet {TABLE}\n\
             # Not needed any more: rules with `log` and no group, which write to the kernel's log.\n\
             table inet {TABLE}\n\
             delete table inet {TABLE}\n\
             table inet {TABLE} {{\n    \
                 chain inbound {{\n        \
                     type filter hook prerouting priority {priority}; policy accept;\n        \
                     iif \"lo\" return\n\
             {spare}        \
                     {state}{log}\n    \
                 }}\n\
             }}\n"
        )
    }

    /// The end of an iptables rule: what it matches further, and where to.
    fn iptables_target(&self) -> String {
        let limit = match self.limit {
            Some(limit) => format!("-m limit --limit {limit}/second --limit-burst {limit} "),
            None => String::new(),
        };
        // The kernel takes 16 bits of it.
        let threshold = self.queue_threshold.min(u32::from(u16::MAX));
        format!(
            "{limit}-j NFLOG --nflog-group {} --nflog-prefix \"{}\" --nflog-size {} --nflog-threshold {threshold}",
            self.group, self.prefix, self.copy_range
        )
    }

    fn iptables(&self) -> String {
        let (table, hook, place) = match self.wanted {
            Wanted::All => ("raw", "PREROUTING", "-I PREROUTING"),
            Wanted::New => ("mangle", "PREROUTING", "-I PREROUTING"),
            Wanted::Dropped => ("filter", "INPUT", "-A INPUT"),
        };
        let state = if self.wanted == Wanted::New { "-m conntrack --ctstate NEW " } else { "" };
        let where_to = if self.wanted == Wanted::Dropped {
            "# The jump goes to the end of INPUT, before its policy. If your last rule drops or rejects, put\n\
             # the jump before it: iptables -I INPUT N -j NFLOG_EXPORTER\n"
        } else {
            ""
        };
        let mut spare = format!("-A {CHAIN} -i lo -j RETURN\n");
        for port in &self.spare_tcp_ports {
            let _ = writeln!(spare, "-A {CHAIN} -p tcp --dport {port} -j RETURN");
        }
        format!(
            "# {}\n\
             # Load once: iptables-restore --noflush FILE; ip6tables-restore --noflush FILE\n\
             {where_to}\
             # Keep: netfilter-persistent save (Debian), or what your system has for it.\n\
             # Remove, and with ip6tables the same: iptables -t {table} -D {hook} -j {CHAIN};\n\
             #   iptables -t {table} -F {CHAIN}; iptables -t {table} -X {CHAIN}\n\
             # Not needed any more: rules with -j LOG or -j ULOG.\n\
             *{table}\n\
             :{CHAIN} - [0:0]\n\
             {spare}\
             -A {CHAIN} {state}{}\n\
             {place} -j {CHAIN}\n\
             COMMIT\n",
            self.title(),
            self.iptables_target()
        )
    }

    fn ufw(&self) -> String {
        let target = self.iptables_target();
        let (file, chains, place) = match self.wanted {
            Wanted::All | Wanted::New => (
                "before",
                ["before-input", "before-forward"].as_slice(),
                "first of all, so that they see what ufw's own rules decide on",
            ),
            Wanted::Dropped => (
                "after",
                ["after-input", "after-forward"].as_slice(),
                "behind your own rules, so that they see what none of them has accepted",
            ),
        };
        let state = if self.wanted == Wanted::New { "-m conntrack --ctstate NEW " } else { "" };
        let lines = |family: &str| {
            let mut lines = String::new();
            for chain in chains {
                let _ = writeln!(lines, "-A {family}-{chain} ! -i lo {state}{target}");
            }
            lines
        };
        format!(
            "#!/bin/sh\n\
             # {title}\n\
             # Run as root, as often as you like: nflog_exporter rules --for ufw … | sh\n\
             # The lines go behind \"# End required lines\" of /etc/ufw/{file}.rules and {file}6.rules: {place}.\n\
             # Remove: sed -i '/^# begin nflog_exporter/,/^# end nflog_exporter/d' \\\n\
             #   /etc/ufw/before*.rules /etc/ufw/after*.rules && ufw reload\n\
             # Not needed any more, its lines go to the kernel's log: ufw logging off\n\
             set -e\n\
             sed -i '/^# begin nflog_exporter/,/^# end nflog_exporter/d' /etc/ufw/before*.rules /etc/ufw/after*.rules\n\
             sed -i '/^# End required lines/r /dev/stdin' /etc/ufw/{file}.rules <<'RULES'\n\
             # begin nflog_exporter\n\
             {four}\
             # end nflog_exporter\n\
             RULES\n\
             sed -i '/^# End required lines/r /dev/stdin' /etc/ufw/{file}6.rules <<'RULES'\n\
             # begin nflog_exporter\n\
             {six}\
             # end nflog_exporter\n\
             RULES\n\
             ufw reload\n",
            title = self.title(),
            four = lines("ufw"),
            six = lines("ufw6"),
        )
    }

    fn firewalld(&self) -> String {
        let title = self.title();
        if self.wanted == Wanted::All {
            let mut rules = String::new();
            for family in ["ipv4", "ipv6"] {
                let _ = writeln!(
                    rules,
                    "add {family} raw PREROUTING 0 ! -i lo {}",
                    self.iptables_target()
                );
            }
            return format!(
                "#!/bin/sh\n\
                 # {title}\n\
                 # Run as root: nflog_exporter rules --for firewalld … | sh\n\
                 # Rules of zones never see the packets of accepted connections, so these are direct ones.\n\
                 # Remove: the same with --remove-rule in place of --add-rule.\n\
                 # Not needed any more: firewall-cmd --set-log-denied=off\n\
                 set -e\n\
                 add() {{ firewall-cmd --permanent --direct --add-rule \"$@\"; }}\n\
                 {rules}\
                 firewall-cmd --reload\n"
            );
        }
        let priority = if self.wanted == Wanted::New { -32768 } else { 32767 };
        let limit =
            self.limit.map(|limit| format!(" limit value=\"{limit}/s\"")).unwrap_or_default();
        let threshold = self.queue_threshold.min(u32::from(u16::MAX));
        let rule = format!(
            "rule priority=\"{priority}\" nflog group=\"{}\" prefix=\"{}\" queue-size=\"{threshold}\"{limit}",
            self.group, self.prefix
        );
        format!(
            "#!/bin/sh\n\
             # {title}\n\
             # Run as root: nflog_exporter rules --for firewalld … | sh\n\
             # For the default zone; add --zone=ZONE for another.\n\
             # Remove: the same with --remove-rich-rule in place of --add-rich-rule.\n\
             # Not needed any more: firewall-cmd --set-log-denied=off\n\
             set -e\n\
             firewall-cmd --permanent --add-rich-rule='{rule}'\n\
             firewall-cmd --reload\n"
        )
    }
}
