//! Restricts the system calls of the program (seccomp(2)).
//!
//! There are two filters. The first allows the calls that the program and its libraries use; all others fail with
//! `ENOSYS`, as on an older kernel, for which libraries have a fallback. The second rejects, with `EPERM`, calls
//! that are useful to an attacker.

mod filter;
mod system_calls;

use libc::c_int;
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpOp, SeccompRule};

use self::{
    filter::{CallRules, compile, condition, number, rule},
    system_calls::{ALLOWED, FORBIDDEN},
};
use super::SandboxAccess;

/// The bits of a socket's type without its flags: `SOCK_TYPE_MASK` in `linux/net.h`.
const SOCK_TYPE_MASK: c_int = 0xf;

/// Returns the name of a device with a given index (`linux/sockios.h`).
const SIOCGIFNAME: u64 = 0x8910;

/// The allowed requests of ioctl(2): number of readable bytes, blocking mode, close-on-exec, terminal queries, and
/// names of devices.
#[allow(clippy::unnecessary_cast, reason = "the type differs between C libraries")]
const IOCTL_REQUESTS: [u64; 6] = [
    libc::FIONREAD as u64,
    libc::FIONBIO as u64,
    libc::FIOCLEX as u64,
    libc::TCGETS as u64,
    libc::TIOCGWINSZ as u64,
    SIOCGIFNAME,
];

/// The requests of ioctl(2) that read and change the mode of a terminal. None inserts input (`TIOCSTI`).
#[allow(clippy::unnecessary_cast, reason = "the type differs between C libraries")]
const TERMINAL_REQUESTS: [u64; 3] =
    [libc::TCSETS as u64, libc::TCGETS2 as u64, libc::TCSETS2 as u64];

/// Restricts this thread and the threads that it starts.
pub(super) fn confine(access: &SandboxAccess) -> Result<(), String> {
    for program in [allowed(access)?, forbidden()?] {
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn allowed(access: &SandboxAccess) -> Result<BpfProgram, String> {
    let mut calls: CallRules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Threads, but no processes. clone3 is not allowed, because its flags are in memory, which filters cannot read;
    // the C library then uses clone.
    let thread = u64::try_from(libc::CLONE_THREAD).map_err(|error| error.to_string())?;
    calls.insert(libc::SYS_clone, rule([condition(0, SeccompCmpOp::MaskedEq(thread), thread)])?);
    // A call with an empty list of rules would be allowed with any arguments.
    let sockets = sockets(access)?;
    if !sockets.is_empty() {
        calls.insert(libc::SYS_socket, sockets);
    }
    // Landlock does not check connections that TCP Fast Open makes.
    let fast_open = number(libc::MSG_FASTOPEN)?;
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        calls.insert(call, rule([condition(flags, SeccompCmpOp::MaskedEq(fast_open), 0)])?);
    }
    // On this process only.
    calls.insert(libc::SYS_prlimit64, rule([condition(0, SeccompCmpOp::Eq, 0)])?);
    let own = u64::from(std::process::id());
    calls.insert(libc::SYS_tgkill, rule([condition(0, SeccompCmpOp::Eq, own)])?);
    let terminal = if access.terminal { &TERMINAL_REQUESTS[..] } else { &[] };
    let ioctls = IOCTL_REQUESTS.iter().chain(terminal);
    let ioctls = ioctls.map(|request| rule([condition(1, SeccompCmpOp::Eq, *request)]));
    let ioctls: Vec<_> = ioctls.collect::<Result<_, _>>()?;
    calls.insert(libc::SYS_ioctl, ioctls.concat());
    compile(calls, SeccompAction::Errno(number(libc::ENOSYS)?), SeccompAction::Allow)
}

/// The sockets that can be created: those needed to reach the database.
fn sockets(access: &SandboxAccess) -> Result<Vec<SeccompRule>, String> {
    let socket = |family, kind, protocol| {
        let mut conditions = vec![condition(0, SeccompCmpOp::Eq, number(family)?)];
        // The type also contains flags (socket(2)).
        let mask = number(SOCK_TYPE_MASK)?;
        conditions.push(condition(1, SeccompCmpOp::MaskedEq(mask), number(kind)?));
        conditions.push(condition(2, SeccompCmpOp::Eq, number(protocol)?));
        rule(conditions)
    };
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // Not MPTCP, which Landlock does not check.
        for protocol in [0, libc::IPPROTO_TCP] {
            if !access.connect.is_empty() {
                rules.extend(socket(family, libc::SOCK_STREAM, protocol)?);
            }
        }
        // For DNS, and for the C library to find the source address of a connection.
        for protocol in [0, libc::IPPROTO_UDP] {
            if access.names || access.datagrams {
                rules.extend(socket(family, libc::SOCK_DGRAM, protocol)?);
            }
        }
    }
    if access.datagrams {
        rules.extend(socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?);
    }
    if access.socket || access.names {
        // The C library resolves names through a daemon, if there is one (nscd(8)).
        rules.extend(socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?);
    }
    if access.names {
        // The C library reads this host's addresses to sort those of another host (getaddrinfo(3)).
        rules.extend(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?);
    }
    Ok(rules)
}

fn forbidden() -> Result<BpfProgram, String> {
    let calls = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    compile(calls, SeccompAction::Allow, SeccompAction::Errno(number(libc::EPERM)?))
}
