//! The stacks of a `ulogd.conf`: their plugins, and which of them have no counterpart here.

/// One plugin of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The name of its section.
    pub(super) name: String,
    /// What the plugin is called.
    pub(super) plugin: String,
}

/// The plugins of a stack, taken apart as ulogd does (`create_stack`); or why ulogd does not start it.
/// `loaded` are the values of its lines `plugin=`, none for all that are installed.
pub(super) fn steps(stack: &str, loaded: &[String]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    // As strtok: separators in a row are one.
    for token in stack.split([',', '\n']).filter(|token| !token.is_empty()) {
        let Some((name, plugin)) = token.split_once(':') else {
            return Err(format!("{token:?} is not NAME:PLUGIN, so ulogd does not start it"));
        };
        let file = format!("_{plugin}.so");
        if !loaded.is_empty() && !loaded.iter().any(|path| path.ends_with(&file)) {
            return Err(format!("no line plugin= loads {plugin}, so ulogd does not start it"));
        }
        steps.push(Step { name: name.to_owned(), plugin: plugin.to_owned() });
    }
    match steps.len() {
        0 => Err("it has no plugins".into()),
        1 => Err("it has no output (a value ends at a blank), so ulogd does not start it".into()),
        _ => Ok(steps),
    }
}

/// Why this source gives nothing that could be counted here; `None` for NFLOG.
pub(super) fn no_packets(source: &str) -> Option<&'static str> {
    match source {
        "NFLOG" => None,
        "ULOG" => Some(
            "Linux has no ULOG since 3.17, so no packet comes from it; write the rules with -j NFLOG \
             --nflog-group N",
        ),
        "NFCT" => Some(
            "NFCT reports connections of conntrack, not packets; connections are not logged here",
        ),
        "NFACCT" => Some(
            "NFACCT reads the kernel's accounting counters, not packets; they are not read here",
        ),
        "UNIXSOCK" => Some(
            "UNIXSOCK takes packets from another program (NuFW) through a socket; only the kernel's log is \
             read here",
        ),
        "IPFIX" => Some("IPFIX takes flows from other hosts; only this kernel's log is read here"),
        _ => {
            Some("it begins with a plugin that is not known here; only packets from NFLOG are read")
        }
    }
}

/// What of a filter's or output's work is not done here, and what there is instead; `None` where nothing
/// is missing.
pub(super) fn no_counterpart(plugin: &str) -> Option<&'static str> {
    match plugin {
        // They make of a packet what is always made of it here.
        "BASE" | "IFINDEX" | "IP2STR" | "IP2BIN" | "IP2HBIN" | "HWHDR" | "PRINTPKT" => None,
        "MARK" => Some(
            "packets are not chosen by mark; choose them in the rule (meta mark), or count them with a \
             family that has the label `mark`",
        ),
        "PWSNIFF" => Some("passwords in packets are not looked for"),
        "PRINTFLOW" => Some("it writes connections, and a stack from NFLOG has none"),
        "LOGEMU" | "SYSLOG" | "XML" | "JSON" | "GPRINT" | "OPRINT" | "NACCT" => {
            Some("packets are not written as text; rows in a database hold them, see [mirror]")
        }
        "PCAP" => Some(
            "packets are not written to a capture; `tcpdump -i nflog:GROUP -w FILE` does, of a group of its \
             own",
        ),
        "IPFIX" => Some("flows are not sent to other hosts"),
        "GRAPHITE" => Some("no metrics are sent to Graphite; Prometheus scrapes /metrics"),
        _ => Some("this plugin is not known here"),
    }
}
