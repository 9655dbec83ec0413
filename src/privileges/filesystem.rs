//! Landlock: the files and ports that the program can still reach (landlock(7)).

use std::{fs::File, io, path::Path, sync::Arc};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope,
};

use super::Needs;

/// What is restricted: no more than this, so that a newer kernel brings no surprise.
const KNOWN: ABI = ABI::V6;

/// What `process_*` metrics are read from.
const PROCESS: [&str; 2] = ["/proc/self", "/proc/stat"];

/// What the C library reads to look up the name of a host: its configuration, which programs replace
/// by renaming, its modules, and where the links in `/etc` lead.
const NAMES: [&str; 6] =
    ["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/run/systemd/resolve"];

/// Where names are asked for over TCP, when an answer is long.
const DNS_PORT: u16 = 53;

/// Restricts this thread. Returns what must stay open for the rules to hold.
pub(super) fn confine(needs: &Needs) -> Result<Vec<Arc<File>>, String> {
    // No /proc: no metrics of the process.
    let process: Vec<_> =
        PROCESS.iter().filter_map(|path| File::open(path).ok()).map(Arc::new).collect();
    match restrict(needs, &process).map_err(|error| error.to_string())? {
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or not switched on".into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(process),
    }
}

fn restrict(needs: &Needs, process: &[Arc<File>]) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::Signal)?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    rules = allow(rules, &needs.read, reading)?;
    rules = allow(rules, &needs.write, AccessFs::from_all(KNOWN) & !AccessFs::Execute)?;
    for file in process {
        // Of a file that is no folder, the crate leaves out what is for folders.
        rules = rules.add_rule(PathBeneath::new(&**file, reading))?;
    }
    if needs.names {
        rules = allow(rules, NAMES, reading)?;
        rules = rules.add_rule(NetPort::new(DNS_PORT, AccessNet::ConnectTcp))?;
    }
    for port in &needs.connect {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Lets through what lies beneath these folders; one that is not there needs no rule.
fn allow<P: AsRef<Path>>(
    mut rules: RulesetCreated,
    folders: impl IntoIterator<Item = P>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for folder in folders {
        if let Ok(folder) = open(folder.as_ref()) {
            rules = rules.add_rule(PathBeneath::new(folder, access))?;
        }
    }
    Ok(rules)
}

/// A handle on a folder, which takes no right to read it.
fn open(folder: &Path) -> io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty())?)
}
