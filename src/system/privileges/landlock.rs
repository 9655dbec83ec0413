//! Landlock: the files and ports that the program can still reach (landlock(7)).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::Needs;

/// What is restricted: no more than this, so that a newer kernel brings no surprise.
const KNOWN: ABI = ABI::V6;

/// The first that knows ports (landlock(7), "VERSIONS").
const PORTS: ABI = ABI::V4;

/// What `process_*` metrics are read from.
const PROCESS: [&str; 2] = ["/proc/self", "/proc/stat"];

/// What the C library reads to look up the name of a host: its configuration, which programs replace
/// by renaming, its modules, and where those programs keep what the links in `/etc` lead to.
const NAMES: [&str; 9] = [
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/netconfig",
];

/// Of these, the links may lead elsewhere.
const NAME_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// Where names are asked for over TCP, when an answer is long.
const DNS_PORT: u16 = 53;

/// What holds from now on.
pub(super) struct Held {
    /// What must stay open for the rules to hold.
    pub(super) pinned: Vec<Arc<File>>,
    /// Whether ports are restricted too, and if not, why.
    pub(super) ports: Result<(), String>,
}

/// Restricts this thread and what it starts.
pub(super) fn confine(needs: &Needs) -> Result<Held, String> {
    // No /proc: no metrics of the process.
    let pinned: Vec<_> =
        PROCESS.iter().filter_map(|path| File::open(path).ok()).map(Arc::new).collect();
    let status = restrict(needs, &pinned).map_err(|error| error.to_string())?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("this kernel has no Landlock, or not switched on".into());
    }
    let ports = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= PORTS => Ok(()),
        _ => Err("this kernel's Landlock is older than Linux 6.7".into()),
    };
    Ok(Held { pinned, ports })
}

fn restrict(needs: &Needs, process: &[Arc<File>]) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::Signal)?;
    if !needs.socket {
        rules = rules.scope(Scope::AbstractUnixSocket)?;
    }
    let mut rules = rules.create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    rules = allow(rules, &needs.read, reading)?;
    rules = allow(rules, &needs.write, AccessFs::from_all(KNOWN) & !AccessFs::Execute)?;
    for file in process {
        // Of a file that is no directory, the crate leaves out what is for directories.
        rules = rules.add_rule(PathBeneath::new(&**file, reading))?;
    }
    if needs.names {
        rules = allow(rules, NAMES, reading)?;
        rules = allow(rules, NAME_FILES.iter().filter_map(directory_of_target), reading)?;
        rules = rules.add_rule(NetPort::new(DNS_PORT, AccessNet::ConnectTcp))?;
    }
    for port in &needs.connect {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    rules.restrict_self()
}

/// The directory that a file is in once all links are followed.
fn directory_of_target(file: impl AsRef<Path>) -> Option<PathBuf> {
    file.as_ref().canonicalize().ok()?.parent().map(Path::to_owned)
}

/// Lets through what lies beneath these directories; one that is not there needs no rule.
fn allow<P: AsRef<Path>>(
    mut rules: RulesetCreated,
    directories: impl IntoIterator<Item = P>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for directory in directories {
        if let Ok(directory) = open(directory.as_ref()) {
            rules = rules.add_rule(PathBeneath::new(directory, access))?;
        }
    }
    Ok(rules)
}

/// A handle on a directory, which takes no right to read it.
fn open(directory: &Path) -> io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(
        directory,
        OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY,
        Mode::empty(),
    )?)
}
