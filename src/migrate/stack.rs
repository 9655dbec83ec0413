//! Parses the stacks of a `ulogd.conf`, and describes plugins without an equivalent.

/// One plugin of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StackPlugin {
    /// The name of its section.
    pub(super) name: String,
    /// The plugin's name.
    pub(super) plugin: String,
}

/// Parses a stack as ulogd does (`create_stack`). `loaded` has the values of the lines `plugin=`; if empty, all
/// installed plugins are loaded.
///
/// # Errors
/// Why ulogd does not start the stack.
pub(super) fn steps(stack: &str, loaded: &[String]) -> Result<Vec<StackPlugin>, String> {
    let mut steps = Vec::new();
    // As by strtok: adjacent separators count as one.
    for token in stack.split([',', '\n']).filter(|token| !token.is_empty()) {
        let Some((name, plugin)) = token.split_once(':') else {
            return Err(format!("{token:?} is not NAME:PLUGIN, so ulogd does not start it"));
        };
        let file = format!("_{plugin}.so");
        if !loaded.is_empty() && !loaded.iter().any(|path| path.ends_with(&file)) {
            return Err(format!("no line plugin= loads {plugin}, so ulogd does not start it"));
        }
        steps.push(StackPlugin { name: name.to_owned(), plugin: plugin.to_owned() });
    }
    match steps.len() {
        0 => Err("it has no plugins".into()),
        1 => Err("it has no output (a value ends at a blank), so ulogd does not start it".into()),
        _ => Ok(steps),
    }
}

/// Why packets of this source cannot be counted; `None` for NFLOG.
pub(super) fn no_packets(source: &str) -> Option<&'static str> {
    match source {
        "NFLOG" => None,
        "ULOG" => {
            Some("Linux has no ULOG since 3.17; change the rules to -j NFLOG --nflog-group N")
        }
        "NFCT" => Some(
            "NFCT reports connections of conntrack, not packets; connections are not supported",
        ),
        "NFACCT" => Some(
            "NFACCT reads the kernel's accounting counters, not packets; they are not supported",
        ),
        "UNIXSOCK" => Some(
            "UNIXSOCK receives packets from another program (NuFW) through a socket; only the kernel's log is \
             supported",
        ),
        "IPFIX" => {
            Some("IPFIX receives flows from other hosts; only the kernel's log is supported")
        }
        _ => Some("its first plugin is unknown; only packets from NFLOG are supported"),
    }
}

/// Which feature of a filter or output has no equivalent, and the alternative; `None` if nothing is missing.
pub(super) fn no_equivalent(plugin: &str) -> Option<&'static str> {
    match plugin {
        // Their work is always done.
        "BASE" | "IFINDEX" | "IP2STR" | "IP2BIN" | "IP2HBIN" | "HWHDR" | "PRINTPKT" => None,
        "MARK" => Some(
            "packets are not filtered by mark; filter them in the rule (meta mark), or count them with a family \
             that has the label `mark`",
        ),
        "PWSNIFF" => Some("passwords in packets are not searched"),
        "PRINTFLOW" => Some("it prints connections, which NFLOG does not report"),
        "XML" | "OPRINT" | "NACCT" => Some(
            "this format is not supported; packets can be written as JSON lines, in ulogd's other text formats and as \
             captures, see [[output]]",
        ),
        "IPFIX" => Some("flows are not sent to other hosts"),
        "GRAPHITE" => Some("no metrics are sent to Graphite; Prometheus scrapes /metrics"),
        _ => Some("this plugin is unknown"),
    }
}
