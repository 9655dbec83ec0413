//! Landlock: the files and ports that the program can still reach (landlock(7)).

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

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
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(KNOWN)))
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(|error| error.to_string())?;
    let names: &[&str] = if needs.names { &NAMES } else { &[] };
    let read = needs.read.iter().map(PathBuf::as_path).chain(names.iter().map(Path::new));
    let dns = needs.names.then_some(DNS_PORT);
    let mut pinned = Vec::new();
    let rules = allow(rules, read, AccessFs::from_read(KNOWN) & !AccessFs::Execute)
        .and_then(|rules| {
            let write = needs.write.iter().map(PathBuf::as_path);
            allow(rules, write, AccessFs::from_all(KNOWN) & !AccessFs::Execute)
        })
        .and_then(|rules| {
            PROCESS.iter().try_fold(rules, |rules, path| match File::open(path) {
                Ok(file) => {
                    let file = Arc::new(file);
                    pinned.push(Arc::clone(&file));
                    let access = AccessFs::ReadFile | AccessFs::ReadDir;
                    let access =
                        if *path == PROCESS[1] { AccessFs::ReadFile.into() } else { access };
                    rules.add_rule(PathBeneath::new(&*file, access))
                }
                // No /proc: no metrics of the process.
                Err(_) => Ok(rules),
            })
        })
        .and_then(|rules| {
            needs.connect.iter().copied().chain(dns).try_fold(rules, |rules, port| {
                rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))
            })
        })
        .map_err(|error| error.to_string())?;
    let status = rules.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or not switched on".into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(pinned),
    }
}

/// Lets through what lies beneath these folders; one that is not there needs no rule.
fn allow<'p>(
    rules: RulesetCreated,
    mut folders: impl Iterator<Item = &'p Path>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    folders.try_fold(rules, |rules, folder| match open(folder) {
        Ok(folder) => rules.add_rule(PathBeneath::new(folder, access)),
        Err(_) => Ok(rules),
    })
}

/// A handle on a folder, which takes no right to read it.
fn open(folder: &Path) -> io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty())?)
}
