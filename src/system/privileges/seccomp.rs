//! seccomp: the system calls that are let through (seccomp(2)).
//!
//! Two filters. The first lets through what the program and its libraries use; anything else does not
//! exist (`ENOSYS`), as in an older kernel, which libraries know how to live with. The second says
//! `EPERM` to what only somebody else would ask for.

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::Needs;

type Calls = std::collections::BTreeMap<c_long, Vec<SeccompRule>>;

/// Restricts this thread and what it starts.
pub(super) fn confine(needs: &Needs) -> Result<(), String> {
    for program in [allowed(needs)?, forbidden()?] {
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn allowed(needs: &Needs) -> Result<BpfProgram, String> {
    let mut calls: Calls = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Threads, but no processes. (clone3 takes its flags in memory, where no filter sees them: the C
    // library does with clone where there is none.)
    let thread = u64::try_from(libc::CLONE_THREAD).map_err(|error| error.to_string())?;
    calls.insert(libc::SYS_clone, rule([condition(0, SeccompCmpOp::MaskedEq(thread), thread)])?);
    // A call without a rule would be let through whatever it asks for.
    let sockets = sockets(needs)?;
    if !sockets.is_empty() {
        calls.insert(libc::SYS_socket, sockets);
    }
    // A connection that begins with its first data goes past Landlock.
    let fast_open = number(libc::MSG_FASTOPEN)?;
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        calls.insert(call, rule([condition(flags, SeccompCmpOp::MaskedEq(fast_open), 0)])?);
    }
    // Of itself only.
    calls.insert(libc::SYS_prlimit64, rule([condition(0, SeccompCmpOp::Eq, 0)])?);
    let own = u64::from(std::process::id());
    calls.insert(libc::SYS_tgkill, rule([condition(0, SeccompCmpOp::Eq, own)])?);
    let controls = CONTROLS.iter().map(|request| rule([condition(1, SeccompCmpOp::Eq, *request)]));
    let controls: Vec<_> = controls.collect::<Result<_, _>>()?;
    calls.insert(libc::SYS_ioctl, controls.concat());
    compile(calls, SeccompAction::Errno(number(libc::ENOSYS)?), SeccompAction::Allow)
}

/// The sockets that can be made: what it takes to reach the database, and none where there is none.
fn sockets(needs: &Needs) -> Result<Vec<SeccompRule>, String> {
    let socket = |family, kind, protocol| {
        let mut conditions = vec![condition(0, SeccompCmpOp::Eq, number(family)?)];
        // Beside the kind stand flags (socket(2)).
        let kinds = number(SOCKET_KINDS)?;
        conditions.push(condition(1, SeccompCmpOp::MaskedEq(kinds), number(kind)?));
        conditions.push(condition(2, SeccompCmpOp::Eq, number(protocol)?));
        rule(conditions)
    };
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // Not MPTCP, which Landlock does not see.
        for protocol in [0, libc::IPPROTO_TCP] {
            if !needs.connect.is_empty() {
                rules.extend(socket(family, libc::SOCK_STREAM, protocol)?);
            }
        }
        // Also to find out which of this host's addresses a connection would have.
        for protocol in [0, libc::IPPROTO_UDP] {
            if needs.names {
                rules.extend(socket(family, libc::SOCK_DGRAM, protocol)?);
            }
        }
    }
    if needs.socket || needs.names {
        // The C library asks a daemon for names, where there is one.
        rules.extend(socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?);
    }
    if needs.names {
        // It asks for this host's addresses before it sorts those of another.
        rules.extend(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?);
    }
    Ok(rules)
}

fn forbidden() -> Result<BpfProgram, String> {
    let calls = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    compile(calls, SeccompAction::Allow, SeccompAction::Errno(number(libc::EPERM)?))
}

fn compile(
    calls: Calls,
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let arch = std::env::consts::ARCH.try_into().map_err(|error| failed(&error))?;
    let filter = SeccompFilter::new(calls, other, listed, arch).map_err(|error| failed(&error))?;
    filter.try_into().map_err(|error| failed(&error))
}

/// A rule under which all conditions hold.
fn rule(
    conditions: impl IntoIterator<Item = Result<SeccompCondition, String>>,
) -> Result<Vec<SeccompRule>, String> {
    let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
    Ok(vec![SeccompRule::new(conditions).map_err(|error| error.to_string())?])
}

fn condition(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
        .map_err(|error| error.to_string())
}

/// A constant of the C library as a filter wants it. They are all positive.
fn number<T: TryFrom<c_int>>(value: c_int) -> Result<T, String>
where
    T::Error: ToString,
{
    T::try_from(value).map_err(|error| error.to_string())
}

/// The bits of a socket's type that are its kind: `SOCK_TYPE_MASK` in `linux/net.h`.
const SOCKET_KINDS: c_int = 0xf;

/// The name of a device by its number (`linux/sockios.h`).
const SIOCGIFNAME: u64 = 0x8910;

/// What may be asked of a descriptor: bytes to read, blocking or not, whether it is a terminal, and the
/// names of devices.
#[allow(clippy::unnecessary_cast, reason = "another C library has another type")]
const CONTROLS: [u64; 6] = [
    libc::FIONREAD as u64,
    libc::FIONBIO as u64,
    libc::FIOCLEX as u64,
    libc::TCGETS as u64,
    libc::TIOCGWINSZ as u64,
    SIOCGIFNAME,
];

/// What the program, its runtime, the C library, SQLite and the database drivers use.
const ALLOWED: &[c_long] = &[
    // Files.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fadvise64,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads, signals and the end.
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_prctl,
    // Time.
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    // The network; to make a socket and to send has conditions.
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Who and where we are.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_capget,
    // Further filters can only take away.
    libc::SYS_seccomp,
    // The older forms, where there are any.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_create,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// What nobody here has a use for, and an attacker has.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_open_by_handle_at,
    libc::SYS_memfd_create,
    libc::SYS_personality,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_capset,
    libc::SYS_chdir,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_listen,
];
