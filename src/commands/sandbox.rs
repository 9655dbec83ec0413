//! What a run keeps of its rights, worked out from the configuration.

use std::{
    collections::BTreeSet,
    env,
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, Flags},
    http::WebConfigWatcher,
    mirror::{
        Target,
        target::{Endpoint, Tls},
    },
    system::files::open_regular,
    system::privileges::{self, Account, Confinement, Needs, Plan, PrivilegesError},
};

/// Where systems keep the certificates they trust, and what the links there lead to.
const AUTHORITIES: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
];

/// Of these, the links may lead elsewhere.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
];

/// Variables that name others.
const AUTHORITY_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Most links on the way to a file: `MAXSYMLINKS` of `linux/namei.h`.
const MAX_LINKS: usize = 40;

/// What a run is held by.
pub(super) struct Confined {
    pub(super) confinement: Confinement,
    user: Option<String>,
    read_again: Vec<PathBuf>,
}

impl Confined {
    /// Says what is in force, and what is not or will not work.
    pub(super) fn tell(&self) {
        let Self { confinement, user, read_again } = self;
        tracing::info!(user, in_force = %confinement, "dropped privileges");
        for (layer, why) in confinement.missing() {
            let layer = layer.name();
            tracing::warn!(layer, why, "this host does not support this layer of confinement");
        }
        warn_of_hidden_files(read_again);
    }
}

/// Drops the privileges that this run does not need any more. Open files and sockets stay open.
///
/// # Errors
/// The user cannot be changed, or a directory not given to it.
pub(super) fn confine(
    flags: &Flags,
    config: &Config,
    guard: &WebConfigWatcher,
    target: Option<&Target>,
) -> Result<Confined, PrivilegesError> {
    let account = Account::choose(&config.privileges.user, &config.privileges.group)?;
    if let Some(target) = target {
        let made = hand_over(config, target, account.as_ref());
        match made {
            // Who has no more rights than before can go on without the directory: the mirror tells.
            Err(error) if account.is_none() => tracing::warn!("{error}"),
            made => made?,
        }
    }
    let user = account.as_ref().map(ToString::to_string);
    let read_again = read_again(flags, config, guard);
    let sandbox = config.privileges.sandbox.then(|| needs(&read_again, config, target));
    let confinement = privileges::drop_privileges(&Plan { account, sandbox })?;
    Ok(Confined { confinement, user, read_again })
}

/// Makes the directories that are the exporter's own, now that they can be let through, and gives them to the
/// account. Another's stays as it is.
fn hand_over(
    config: &Config,
    target: &Target,
    account: Option<&Account>,
) -> Result<(), PrivilegesError> {
    let spool = &config.mirror.spool.directory;
    privileges::hand_over(spool, account)?;
    match &target.endpoint {
        Endpoint::File(file) => {
            let directory = directory_of(file);
            // One that somebody made may be for others, too.
            if directory.exists() { Ok(()) } else { privileges::hand_over(&directory, account) }
        }
        Endpoint::Tcp { .. } | Endpoint::Socket { .. } => Ok(()),
    }
}

fn needs(read_again: &[PathBuf], config: &Config, target: Option<&Target>) -> Needs {
    // A file that is replaced is another file: its directory is what stays.
    let mut read: BTreeSet<PathBuf> = read_again.iter().flat_map(directories_of).collect();
    let mut needs = Needs::default();
    if let Some(target) = target {
        needs.write.push(config.mirror.spool.directory.clone());
        match &target.endpoint {
            Endpoint::File(file) => needs.write.push(directory_of(file)),
            Endpoint::Socket { .. } => needs.socket = true,
            Endpoint::Tcp { host, port } => {
                needs.connect.push(*port);
                needs.names = host.parse::<IpAddr>().is_err();
            }
        }
        match &target.tls {
            Tls::Verified { roots: Some(file) } => read.extend(directories_of(file)),
            Tls::Verified { roots: None } => {
                read.extend(AUTHORITIES.map(PathBuf::from));
                read.extend(BUNDLES.iter().flat_map(directories_of));
                let named = AUTHORITY_VARIABLES.iter().filter_map(env::var_os);
                read.extend(named.flat_map(|path| {
                    let path = PathBuf::from(path);
                    directories_of(&path).into_iter().chain([path])
                }));
            }
            _ => {}
        }
    }
    needs.read = read.into_iter().collect();
    needs
}

/// The files that are read again while the program runs.
fn read_again(flags: &Flags, config: &Config, guard: &WebConfigWatcher) -> Vec<PathBuf> {
    config.files(flags).chain(guard.files()).collect()
}

/// The directory that a file stands in, those in which there are links on the way to it, and the one to which
/// they lead: a link that is switched leads to another directory next to the old one, as a rule.
fn directories_of(file: impl AsRef<Path>) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::from([directory_of(file.as_ref())]);
    let mut path = file.as_ref().to_owned();
    for _ in 0..MAX_LINKS {
        let mut above: Vec<_> = path.ancestors().collect();
        above.reverse();
        let Some((link, target)) =
            above.iter().find_map(|part| Some((part, part.read_link().ok()?)))
        else {
            break;
        };
        let directory = directory_of(link);
        // It begins with the link, which is one of those above it.
        let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
        let next = directory.join(target);
        path = if rest.as_os_str().is_empty() { next } else { next.join(rest) };
        directories.extend([directory, directory_of(&path)]);
    }
    // Everything lies beneath that one.
    directories.remove(Path::new("/"));
    directories
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Says now which files the next reload will not be able to read.
fn warn_of_hidden_files(files: &[PathBuf]) {
    for file in files {
        if open_regular(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            tracing::warn!(
                file = %file.display(),
                "the exporter's user cannot read this file, so a reload will fail; give its group read \
                 access to the file and search access to its directories"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::ToSocketAddrs as _, thread};

    use super::*;
    use crate::config;

    fn needs_of(toml: &str) -> Needs {
        let config = config::parse(toml, "f.toml").unwrap();
        let target = config.mirror_target().unwrap();
        let files = read_again(&Flags::default(), &config, &WebConfigWatcher::default());
        needs(&files, &config, target.as_ref())
    }

    #[test]
    fn a_run_without_a_mirror_needs_the_directories_of_its_databases() {
        let needs = needs_of("[geoip]\ndatabases = ['/var/lib/GeoIP/a.mmdb', 'b.mmdb']");
        assert_eq!(needs.read, [Path::new("/var/lib/GeoIP"), Path::new(".")]);
        assert!(needs.write.is_empty() && needs.connect.is_empty() && !needs.names);
        assert!(needs_of("").read.is_empty());
    }

    #[test]
    fn a_link_leads_to_two_directories() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("v1")).unwrap();
        std::fs::write(real.join("v1/a.mmdb"), "").unwrap();
        std::os::unix::fs::symlink("v1/a.mmdb", real.join("a.mmdb")).unwrap();
        assert_eq!(directories_of(real.join("a.mmdb")), [real.clone(), real.join("v1")].into());
    }

    /// As orchestrators do: the file is the same, and a link above it is switched.
    #[test]
    fn a_link_above_a_file_can_be_switched() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        for version in ["v1", "v2"] {
            std::fs::create_dir_all(root.join("releases").join(version)).unwrap();
            std::fs::write(root.join("releases").join(version).join("a"), version).unwrap();
        }
        link("releases/v1", "current");
        link("current/a", "a");
        link("loop", "loop");
        let directories = directories_of(root.join("a"));
        assert!(directories.contains(&root) && directories.contains(&root.join("releases/v1")));
        assert!(directories_of(root.join("loop")).len() < 3);
        let needs = Needs { read: directories.into_iter().collect(), ..Needs::default() };
        let plan = Plan { account: None, sandbox: Some(needs) };
        let content = || std::fs::read_to_string(root.join("a"));
        thread::scope(|scope| {
            let (confined, is_confined) = std::sync::mpsc::channel();
            let (switched, is_switched) = std::sync::mpsc::channel();
            let reader = scope.spawn(move || {
                privileges::drop_privileges(&plan).unwrap();
                let before = content().unwrap();
                confined.send(()).unwrap();
                is_switched.recv().unwrap();
                (before, content().unwrap())
            });
            is_confined.recv().unwrap();
            link("releases/v2", "new");
            std::fs::rename(root.join("new"), root.join("current")).unwrap();
            switched.send(()).unwrap();
            assert_eq!(reader.join().unwrap(), ("v1".into(), "v2".into()));
        });
    }

    #[test]
    fn a_mirror_needs_its_spool_and_its_way() {
        let needs = needs_of("[mirror]\nurl = 'mysql://u@192.0.2.1:3307/log?sslmode=disable'");
        assert_eq!(needs.write, [Path::new("/var/lib/nflog_exporter")]);
        assert_eq!((&*needs.connect, needs.names), (&[3307][..], false));
        assert!(needs.read.is_empty());
        let needs = needs_of("[mirror]\nurl = 'sqlite:/srv/rows.db'\nspool.directory = '/srv/s'");
        assert_eq!(needs.write, [Path::new("/srv/s"), Path::new("/srv")]);
    }

    /// A database elsewhere takes a look-up of its name and the system's authorities; both work.
    #[test]
    fn names_and_authorities_are_found_when_confined() {
        let needs = needs_of("[mirror]\nurl = 'postgres://u@db.example.net/log'");
        assert_eq!((&*needs.connect, needs.names), (&[5432][..], true));
        let authorities = rustls_native_certs::load_native_certs().certs.len();
        let plan = Plan { account: None, sandbox: Some(needs) };
        let confined = move || {
            let confinement = privileges::drop_privileges(&plan).unwrap();
            assert!(confinement.missing().is_empty());
            let found = rustls_native_certs::load_native_certs().certs.len();
            (found, ("localhost", 1).to_socket_addrs().unwrap().count())
        };
        let (found, addresses) = thread::spawn(confined).join().unwrap();
        assert_eq!(found, authorities);
        assert!(addresses > 0);
    }
}
