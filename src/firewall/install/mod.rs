//! Installs an nftables table that logs inbound packets, and that the kernel removes with its owner's socket.

mod config;
mod expression;

use std::{io, iter};

use neli::consts::{nl::NlmF, socket::NlFamily};
use rustix::io::Errno;

pub use self::config::RulesConfig;
use crate::netlink::{Attribute, Request, RequestError, Socket};

/// Name of the table, of family inet.
pub const TABLE: &str = "nflog_exporter";
/// Name of its one chain.
const CHAIN: &str = "inbound";
/// Before `raw` (-300), so that packets that rules there drop are logged too.
const PRIORITY: i32 = -310;

/// The packets to log, and how.
#[derive(Clone, Debug)]
pub struct InstallPlan {
    /// The NFLOG group.
    pub group: u16,
    /// Log prefix, at most 127 bytes.
    pub prefix: String,
    /// Devices whose inbound packets are logged; empty: all except loopback.
    pub interfaces: Vec<String>,
    /// Excluded TCP ports: those of the exporter, so that scrapes are not logged.
    pub spare_tcp_ports: Vec<u16>,
    /// Bytes of each packet the kernel copies (`snaplen`).
    pub copy_range: u32,
    /// Packets that the kernel collects into one datagram.
    pub queue_threshold: u16,
}

/// The installed table. The kernel removes it when this value is dropped, and when the process ends for any
/// reason.
pub struct Installed {
    _owner: Socket,
}

/// The table could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A prefix that nftables does not accept.
    #[error("invalid log prefix {0:?}: expected at most {MAX_PREFIX} bytes without NUL")]
    Prefix(String),
    /// A name that no device can have.
    #[error("invalid interface {0:?}: expected a device name of 1 to 15 bytes without NUL")]
    Interface(String),
    /// The table exists, and has another owner or none.
    #[error(
        "table inet {TABLE} exists: another instance owns it, or it was created by hand \
         (list it: nft list table inet {TABLE}; remove it, if it has no owner: \
         nft delete table inet {TABLE})"
    )]
    Exists,
    /// The process lacks `CAP_NET_ADMIN` over this network namespace.
    #[error(
        "not permitted to install firewall rules: run as root, or give the program the \
         capability CAP_NET_ADMIN (setcap cap_net_admin+ep, AmbientCapabilities=CAP_NET_ADMIN)"
    )]
    NotPermitted,
    /// The kernel has no `nf_tables`.
    #[error("this kernel does not support nftables: load its module (modprobe nf_tables)")]
    NoNftables,
    /// The kernel is older than 5.12.
    #[error(
        "this kernel does not support tables with an owner, which need Linux 5.12; load rules with \
         `nflog_exporter rules` instead"
    )]
    NoOwner,
    /// The kernel has no `nft_log`, or no `nfnetlink_log`.
    #[error(
        "this kernel does not support logging by nftables: load its modules (modprobe nft_log nfnetlink_log)"
    )]
    NoLog,
    /// Any other error.
    #[error("cannot install the {part}: {cause}{}", text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Rejected {
        /// The rejected part.
        part: &'static str,
        /// The kernel's error number.
        cause: io::Error,
        /// The kernel's error message.
        text: Option<String>,
    },
}

/// Installs the table in one transaction.
///
/// # Errors
/// The table could not be installed; nothing is changed then.
pub fn install(plan: &InstallPlan) -> Result<Installed, RulesError> {
    validate(plan)?;
    let socket = Socket::open(NlFamily::Netfilter, 0).map_err(|cause| rejected(cause.into(), 0))?;
    let batch = batch(plan);
    // The kernel does not acknowledge the end of the batch, so the last rule is waited for.
    let mut last_rule = 0;
    let mut bytes = Vec::new();
    // The sequence number of a message is its index in the batch; errors have it.
    for (number, request) in (0..).zip(&batch) {
        if request.kind == SUBSYSTEM << 8 | NEWRULE {
            last_rule = number;
        }
        bytes.extend(request.bytes(number).map_err(|cause| rejected(cause.into(), last_rule))?);
    }
    socket.request(&bytes, last_rule, |_| {}).map_err(|error| rejected(error, last_rule))?;
    Ok(Installed { _owner: socket })
}

fn validate(plan: &InstallPlan) -> Result<(), RulesError> {
    if plan.prefix.len() > MAX_PREFIX || plan.prefix.contains('\0') {
        return Err(RulesError::Prefix(plan.prefix.clone()));
    }
    let bad =
        |name: &&String| name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0');
    match plan.interfaces.iter().find(bad) {
        Some(name) => Err(RulesError::Interface(name.clone())),
        None => Ok(()),
    }
}

/// The batch: begin, table, chain, rules, end.
fn batch(plan: &InstallPlan) -> Vec<Request> {
    let log = expression::log(&plan.prefix, plan.group, plan.copy_range, plan.queue_threshold);
    let excluded = plan.spare_tcp_ports.iter().map(|port| {
        let port = expression::to_tcp_port(*port);
        port.into_iter().chain([expression::return_verdict()]).collect()
    });
    let mut rules: Vec<Vec<Attribute>> = excluded.collect();
    if plan.interfaces.is_empty() {
        let loopback =
            expression::from_loopback().into_iter().chain([expression::return_verdict()]);
        rules.insert(0, loopback.collect());
        rules.push(vec![log]);
    } else {
        rules.extend(plan.interfaces.iter().map(|name| {
            expression::from_interface(name).into_iter().chain([log.clone()]).collect()
        }));
    }
    iter::once(boundary(BATCH_BEGIN))
        .chain([table(), chain()])
        .chain(rules.into_iter().map(rule))
        .chain([boundary(BATCH_END)])
        .collect()
}

fn boundary(kind: u16) -> Request {
    Request {
        kind,
        flags: NlmF::empty(),
        family: NFPROTO_UNSPEC,
        resource: SUBSYSTEM,
        attributes: Vec::new(),
    }
}

fn table() -> Request {
    let owner = Attribute::u32(TABLE_FLAGS, TABLE_F_OWNER);
    // Fails if the table exists.
    new(NEWTABLE, NlmF::CREATE | NlmF::EXCL, vec![Attribute::text(TABLE_NAME, TABLE), owner])
}

fn chain() -> Request {
    let hook = vec![
        Attribute::u32(HOOK_HOOKNUM, NF_INET_PRE_ROUTING),
        Attribute::u32(HOOK_PRIORITY, PRIORITY.cast_unsigned()),
    ];
    let attributes = vec![
        Attribute::text(CHAIN_TABLE, TABLE),
        Attribute::text(CHAIN_NAME, CHAIN),
        Attribute::Nest(CHAIN_HOOK, hook),
        Attribute::u32(CHAIN_POLICY, NF_ACCEPT),
        Attribute::text(CHAIN_TYPE, "filter"),
    ];
    new(NEWCHAIN, NlmF::CREATE, attributes)
}

fn rule(expressions: Vec<Attribute>) -> Request {
    let attributes = vec![
        Attribute::text(RULE_TABLE, TABLE),
        Attribute::text(RULE_CHAIN, CHAIN),
        Attribute::Nest(RULE_EXPRESSIONS, expressions),
    ];
    new(NEWRULE, NlmF::CREATE | NlmF::APPEND, attributes)
}

fn new(message: u16, flags: NlmF, attributes: Vec<Attribute>) -> Request {
    let kind = SUBSYSTEM << 8 | message;
    Request { kind, flags: NlmF::ACK | flags, family: NFPROTO_INET, resource: 0, attributes }
}

/// The error for a rejected message; `last_rule` is the sequence number of the last rule.
fn rejected(error: RequestError, last_rule: u32) -> RulesError {
    let RequestError { sequence, cause, text } = error;
    let part = match sequence {
        None => "rules",
        Some(0) => "batch",
        Some(1) => "table",
        Some(2) => "chain",
        Some(number) if number == last_rule => "log rule",
        Some(_) => "rule",
    };
    match (sequence, Errno::from_io_error(&cause)) {
        // Checked before any message of the batch.
        (Some(0), Some(Errno::PERM)) => RulesError::NotPermitted,
        (Some(0), Some(Errno::OPNOTSUPP | Errno::INVAL)) | (None, Some(Errno::PROTONOSUPPORT)) => {
            RulesError::NoNftables
        }
        // EPERM: the table has another owner. EEXIST: it has none.
        (Some(1), Some(Errno::PERM | Errno::EXIST)) => RulesError::Exists,
        (Some(1), Some(Errno::OPNOTSUPP | Errno::INVAL)) => RulesError::NoOwner,
        (Some(3..), Some(Errno::NOENT | Errno::PROTONOSUPPORT)) => RulesError::NoLog,
        _ => RulesError::Rejected { part, cause, text },
    }
}

/// `NF_LOG_PREFIXLEN` without the NUL.
const MAX_PREFIX: usize = 127;
/// `NFPROTO_UNSPEC`, `linux/netfilter.h`
const NFPROTO_UNSPEC: u8 = 0;
/// `NFPROTO_INET`
const NFPROTO_INET: u8 = 1;
/// `NF_INET_PRE_ROUTING`
const NF_INET_PRE_ROUTING: u32 = 0;
/// `NF_ACCEPT`
const NF_ACCEPT: u32 = 1;
/// `NFNL_SUBSYS_NFTABLES`, `linux/netfilter/nfnetlink.h`
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`
const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`
const BATCH_END: u16 = 17;
/// `NFT_TABLE_F_OWNER`: the kernel removes the table with the socket that created it.
const TABLE_F_OWNER: u32 = 2;

// `NFT_MSG_…` and `NFTA_…` of the same names, `linux/netfilter/nf_tables.h`.
const NEWTABLE: u16 = 0;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_HOOKNUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_fix() {
        let check = |sequence, errno, expect: &str| {
            let cause = io::Error::from_raw_os_error(errno);
            let message = rejected(RequestError { sequence, cause, text: Some("why".into()) }, 4);
            assert!(message.to_string().contains(expect), "{message}");
        };
        check(Some(0), libc::EPERM, "CAP_NET_ADMIN");
        check(Some(0), libc::EOPNOTSUPP, "modprobe nf_tables");
        check(None, libc::EPROTONOSUPPORT, "modprobe nf_tables");
        check(Some(1), libc::EPERM, "another instance owns it");
        check(Some(1), libc::EEXIST, "exists");
        check(Some(1), libc::EOPNOTSUPP, "Linux 5.12");
        check(Some(4), libc::ENOENT, "modprobe nft_log");
        check(Some(4), libc::ENOMEM, "cannot install the log rule: ");
        check(Some(2), libc::ENOMEM, "(why)");
    }

    #[test]
    fn invalid_names_are_rejected() {
        let check = |prefix: &str, interface: &str| {
            let interfaces = vec![interface.into()];
            let plan = InstallPlan {
                group: 1,
                prefix: prefix.into(),
                interfaces,
                spare_tcp_ports: vec![],
                copy_range: 128,
                queue_threshold: 100,
            };
            validate(&plan).is_ok()
        };
        assert!(check("inbound", "eth0"));
        assert!(check(&"x".repeat(127), "fifteen-letters"));
        assert!(!check(&"x".repeat(128), "eth0"));
        assert!(!check("a\0b", "eth0"));
        assert!(!check("inbound", ""));
        assert!(!check("inbound", "sixteen--letters"));
    }
}
