//! Restricts the files and TCP ports that the program can access (landlock(7)).

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
use rustix::fs::{Mode, OFlags};

use super::SandboxAccess;

/// The version whose access rights are restricted. Rights of later versions stay allowed, so that behaviour does not
/// depend on the kernel.
const RESTRICTED: ABI = ABI::V6;

/// The first version that restricts ports (landlock(7), "VERSIONS").
const PORTS: ABI = ABI::V4;

/// Sources of the `process_*` metrics.
const PROCESS: [&str; 2] = ["/proc/self", "/proc/stat"];

/// Directories that the C library reads to resolve host names: of its configuration, which programs replace
/// by renaming, of its modules, and of the targets of links in `/etc`.
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

/// Files that may be links to other directories.
const NAME_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];

/// Port of DNS over TCP, which is used for long responses.
const DNS_PORT: u16 = 53;

/// The active restrictions.
pub(super) struct Restrictions {
    /// Files that must stay open for their rules to stay active.
    pub(super) pinned: Vec<Arc<File>>,
    /// The reason if ports are not restricted.
    pub(super) ports: Result<(), String>,
}

/// Restricts this thread and the threads that it starts.
pub(super) fn confine(access: &SandboxAccess) -> Result<Restrictions, String> {
    // Without /proc, the metrics of the process are missing.
    let pinned: Vec<_> =
        PROCESS.iter().filter_map(|path| File::open(path).ok()).map(Arc::new).collect();
    let status = restrict(access, &pinned).map_err(|error| error.to_string())?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("this kernel has no Landlock, or it is disabled".into());
    }
    let ports = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= PORTS => Ok(()),
        _ => Err("this kernel's Landlock is older than Linux 6.7".into()),
    };
    Ok(Restrictions { pinned, ports })
}

fn restrict(
    access: &SandboxAccess,
    process: &[Arc<File>],
) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RESTRICTED))?
        .handle_access(AccessNet::from_all(RESTRICTED))?
        .scope(Scope::Signal)?;
    if !access.socket {
        rules = rules.scope(Scope::AbstractUnixSocket)?;
    }
    let mut rules = rules.create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    rules = allow(rules, &access.read, reading)?;
    rules = allow(rules, &access.write, AccessFs::from_all(RESTRICTED) & !AccessFs::Execute)?;
    for path in &access.write_files {
        if let Ok(file) = open(path, OFlags::NOFOLLOW) {
            let writing = AccessFs::ReadFile | AccessFs::WriteFile;
            rules = rules.add_rule(PathBeneath::new(file, writing))?;
        }
    }
    for file in process {
        // For other files, the crate removes the access rights of directories.
        rules = rules.add_rule(PathBeneath::new(&**file, reading))?;
    }
    if access.names {
        rules = allow(rules, NAMES, reading)?;
        rules = allow(rules, NAME_FILES.iter().filter_map(directory_of_target), reading)?;
        rules = rules.add_rule(NetPort::new(DNS_PORT, AccessNet::ConnectTcp))?;
    }
    for port in &access.connect {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    rules.restrict_self()
}

/// The directory of the target of a link.
fn directory_of_target(file: impl AsRef<Path>) -> Option<PathBuf> {
    file.as_ref().canonicalize().ok()?.parent().map(Path::to_owned)
}

/// Allows access to files in these directories and their subdirectories. A missing directory gets no rule.
fn allow<P: AsRef<Path>>(
    mut rules: RulesetCreated,
    directories: impl IntoIterator<Item = P>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for directory in directories {
        if let Ok(directory) = open(directory.as_ref(), OFlags::DIRECTORY) {
            rules = rules.add_rule(PathBeneath::new(directory, access))?;
        }
    }
    Ok(rules)
}

/// Opens a directory or file as a reference only, which needs no permission to read it.
fn open(path: &Path, flags: OFlags) -> io::Result<rustix::fd::OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())?)
}
