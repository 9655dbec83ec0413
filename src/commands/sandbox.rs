//! The rights that a running exporter keeps, according to the configuration.

use std::{
    collections::BTreeSet,
    env,
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    directories::directories_of,
    hand_over::{hand_over, hand_over_outputs, hand_over_state, state_file},
};
use crate::{
    config::{Config, Flags},
    http::WebConfigWatcher,
    mirror::target::{Endpoint, Servers, Target, Tls},
    output::OutputTarget,
    system::{
        files::open_regular,
        privileges::{
            self, Confinement, PrivilegesError, RetainedPrivileges, SandboxAccess, UserAccount,
        },
    },
};

/// The directories of trusted root certificates, and of the targets of symbolic links there.
const ROOT_DIRECTORIES: [&str; 6] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
];

/// Files of root certificates that can be symbolic links to other directories.
const ROOT_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
];

/// Environment variables with further paths of root certificates.
const ROOT_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The active confinement, and the facts that its log lines need.
pub(super) struct Confined {
    pub(super) confinement: Confinement,
    user: Option<String>,
    /// Files that are read again while the program runs.
    reread: Vec<PathBuf>,
}

impl Confined {
    /// Logs the active layers, the missing layers, and the files that can no longer be read.
    pub(super) fn log(&self) {
        let Self { confinement, user, reread } = self;
        tracing::info!(user, in_force = %confinement, "dropped privileges");
        for (layer, why) in confinement.missing() {
            let layer = layer.name();
            tracing::warn!(layer, why, "this host does not support this layer of confinement");
        }
        warn_of_unreadable_files(reread);
    }
}

/// Drops the privileges that the program no longer needs. Open files and sockets stay open.
///
/// # Errors
/// The user cannot be changed, or the owner of a directory.
pub(super) fn confine(
    flags: &Flags,
    config: &Config,
    web_config: &WebConfigWatcher,
    servers: Option<&Servers>,
) -> anyhow::Result<Confined> {
    let account = UserAccount::choose(&config.privileges.user, &config.privileges.group)?;
    match hand_over(config, servers, account.as_ref()) {
        // Without a change of user, the mirror reports the error when it uses the directory.
        Err(error) if account.is_none() => tracing::warn!("{error}"),
        result => result?,
    }
    hand_over_state(config, account.as_ref())?;
    hand_over_outputs(config, account.as_ref())?;
    // Rotation creates new log files, so that opening them before privileges are dropped would not last.
    let account = account.map(|account| account.with_groups(config.kernel_log.reader_groups()));
    let user = account.as_ref().map(ToString::to_string);
    let reread = reread_files(flags, config, web_config);
    let sandbox = config.privileges.sandbox.then(|| sandbox_access(&reread, config, servers));
    let confinement = privileges::drop_privileges(&RetainedPrivileges { account, sandbox })?;
    Ok(Confined { confinement, user, reread })
}

/// Drops the privileges that a command does not need that reads untrusted files, which are open, and then writes one file.
/// With an output file, the user stays, because only it may be able to write there. `terminal` allows to change the mode of
/// the terminal, which must be open.
///
/// # Errors
/// The user cannot be changed.
pub(super) fn confine_reader(
    config: &Config,
    output: Option<&Path>,
    terminal: bool,
) -> Result<(), PrivilegesError> {
    let account = match output {
        Some(_) => None,
        None => UserAccount::choose(&config.privileges.user, &config.privileges.group)?,
    };
    let sandbox = config.privileges.sandbox.then(|| SandboxAccess {
        // A symbolic link is written at its target.
        write: output.into_iter().flat_map(directories_of).collect(),
        terminal,
        ..SandboxAccess::default()
    });
    privileges::drop_privileges(&RetainedPrivileges { account, sandbox })?;
    Ok(())
}

fn sandbox_access(reread: &[PathBuf], config: &Config, servers: Option<&Servers>) -> SandboxAccess {
    // Landlock identifies files by inode, and a replaced file has another one: so directories are allowed.
    let mut read: BTreeSet<PathBuf> = reread.iter().flat_map(directories_of).collect();
    // Databases can appear there later.
    read.extend(config.geoip.watched_directory().map(Path::to_owned));
    let mut access = SandboxAccess::default();
    for pattern in config.kernel_log.patterns() {
        read.extend(directories_of(pattern.directory().join("file")));
        read.extend(pattern.files().iter().flat_map(directories_of));
    }
    access.write.extend(config.history.directory());
    access.write_files.extend(state_file(config).map(Path::to_owned));
    if let Some(servers) = servers {
        access.write.push(config.mirror.spool.directory.clone());
        servers.iter().for_each(|server| allow_server(&mut access, &mut read, server));
    }
    for output in &*config.output {
        allow_output(&mut access, &output.target);
    }
    access.read = read.into_iter().collect();
    access
}

/// What the mirror needs to connect to a server, or to write to a file.
fn allow_server(access: &mut SandboxAccess, read: &mut BTreeSet<PathBuf>, server: &Target) {
    match &server.endpoint {
        Endpoint::File(file) => access.write.extend(directories_of(file)),
        Endpoint::Socket { .. } => access.socket = true,
        Endpoint::Tcp { host, port } => {
            access.connect.push(*port);
            access.names |= host.parse::<IpAddr>().is_err();
        }
    }
    match &server.tls {
        Tls::Verified { roots: Some(file) } => read.extend(directories_of(file)),
        Tls::Verified { roots: None } => {
            read.extend(ROOT_DIRECTORIES.map(PathBuf::from));
            read.extend(ROOT_BUNDLES.iter().flat_map(directories_of));
            let named = ROOT_VARIABLES.iter().filter_map(env::var_os);
            read.extend(named.flat_map(|path| {
                let path = PathBuf::from(path);
                directories_of(&path).into_iter().chain([path])
            }));
        }
        _ => {}
    }
}

/// What an output needs to write to its target.
fn allow_output(access: &mut SandboxAccess, target: &OutputTarget) {
    match target {
        OutputTarget::None | OutputTarget::Stdout => {}
        // Rotation renames files. A symbolic link is written at its target.
        OutputTarget::File(file) => access.write.extend(directories_of(file)),
        OutputTarget::Unix(_) => access.socket = true,
        OutputTarget::Unixgram(_) | OutputTarget::Journal(_) | OutputTarget::Udp(..) => {
            access.datagrams = true;
        }
        OutputTarget::Tcp(_, port) | OutputTarget::Tls(_, port) => access.connect.push(*port),
    }
    if let Some((host, _)) = target.address() {
        access.names |= host.parse::<IpAddr>().is_err();
    }
}

/// The files that are read again while the program runs.
fn reread_files(flags: &Flags, config: &Config, web_config: &WebConfigWatcher) -> Vec<PathBuf> {
    config.files(flags).chain(web_config.files()).collect()
}

/// Warns about files that the next reload cannot read.
fn warn_of_unreadable_files(files: &[PathBuf]) {
    for file in files {
        if open_regular(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            tracing::warn!(
                file = %file.display(),
                "the program's user cannot read this file: a reload will fail; make it readable by its \
                 group, and its parent directories accessible"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::ToSocketAddrs as _, thread};

    use super::*;
    use crate::{config, source::kernel_log::create_state_file};

    /// Where downloaded databases can appear.
    const DOWNLOADS: &str = "/var/lib/nflog_exporter/geoip";

    fn access_of(toml: &str) -> SandboxAccess {
        let config = config::parse(toml, "f.toml").unwrap();
        let target = config.mirror_servers().unwrap();
        let files = reread_files(&Flags::default(), &config, &WebConfigWatcher::default());
        sandbox_access(&files, &config, target.as_ref())
    }

    #[test]
    fn without_a_mirror_only_the_directories_of_databases_are_needed() {
        let access = access_of("[geoip]\ndatabases = ['/var/lib/GeoIP/a.mmdb', 'b.mmdb']");
        assert_eq!(access.read, [Path::new("/var/lib/GeoIP"), Path::new(".")]);
        assert!(access.write.is_empty() && access.connect.is_empty() && !access.names);
        assert_eq!(access_of("").read, [Path::new(DOWNLOADS)]);
    }

    #[test]
    fn the_directories_of_networks_and_lists_are_needed() {
        let access = access_of(
            "[networks]\nfile = '/etc/networks.csv'\n[[list]]\nname = 'a'\nfile = '/var/lib/lists/a'",
        );
        let expect = ["/etc", "/var/lib/lists", DOWNLOADS].map(PathBuf::from);
        assert_eq!(access.read, expect);
    }

    /// Orchestrators switch a link above a file.
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
        let access =
            SandboxAccess { read: directories.into_iter().collect(), ..SandboxAccess::default() };
        let plan = RetainedPrivileges { account: None, sandbox: Some(access) };
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
    fn a_mirror_needs_its_spool_and_its_database() {
        let access = access_of("[mirror]\nurl = 'mysql://u@192.0.2.1:3307/log?sslmode=disable'");
        assert_eq!(access.write, [Path::new("/var/lib/nflog_exporter")]);
        assert_eq!((&*access.connect, access.names), (&[3307][..], false));
        assert_eq!(access.read, [Path::new(DOWNLOADS)]);
        let access = access_of("[mirror]\nurl = 'mysql://u@192.0.2.1:3307,db,192.0.2.2/log'");
        assert_eq!((&*access.connect, access.names), (&[3307, 3306, 3306][..], true));
        let access = access_of("[mirror]\nurl = 'sqlite:/srv/rows.db'\nspool.directory = '/srv/s'");
        assert_eq!(access.write, [Path::new("/srv/s"), Path::new("/srv")]);
    }

    #[test]
    fn of_the_positions_only_their_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("other"), "").unwrap();
        let toml = format!(
            "[kernel_log]\nfiles = ['/var/log/kern.log']\nstate_file = '{}'",
            path("state").display()
        );
        let config = config::parse(&toml, "f.toml").unwrap();
        let account = UserAccount::find("4711", "").unwrap();
        hand_over(&config, None, Some(&account)).unwrap();
        hand_over_state(&config, Some(&account)).unwrap();
        let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&path.metadata().unwrap());
        let current = rustix::process::geteuid().as_raw();
        let expect = if current == 0 { 4711 } else { current };
        let owners = [path("state"), path("other"), path("")].map(|path| owner(&path));
        assert_eq!(owners, [expect, current, current]);
        // This thread's user cannot change.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(path("state"), mode).unwrap();
        let access = access_of(&toml);
        assert_eq!(access.write_files, [path("state")]);
        assert!(access.write.is_empty());
        let plan = RetainedPrivileges { account: None, sandbox: Some(access) };
        let confined = || {
            privileges::drop_privileges(&plan).unwrap();
            create_state_file(&path("state")).unwrap();
            assert!(std::fs::write(path("other"), "x").is_err());
            assert!(std::fs::write(path("new"), "x").is_err());
            assert!(std::fs::remove_file(path("state")).is_err());
        };
        thread::scope(|scope| scope.spawn(confined).join().unwrap());
    }

    #[test]
    fn files_that_are_links_are_written_at_their_targets() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("big")).unwrap();
        let link = real.join("rows");
        std::os::unix::fs::symlink("big/rows", &link).unwrap();
        let link = link.display();
        for toml in [
            format!("[[output]]\nname = 'a'\ntarget = 'file://{link}'"),
            format!("[mirror]\nurl = 'sqlite:{link}'"),
        ] {
            let access = access_of(&toml);
            for written in [real.clone(), real.join("big")] {
                assert!(access.write.contains(&written), "{toml}: {access:?}");
            }
        }
    }

    /// Whoever can write to a directory of logs could otherwise give the exporter the group of any file.
    #[test]
    fn links_that_match_a_wildcard_give_no_rights() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let secret = elsewhere.path().join("shadow");
        std::fs::write(&secret, "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&secret, mode).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&secret, None, Some(4712)).unwrap();
        }
        std::os::unix::fs::symlink(&secret, directory.path().join("evil.log")).unwrap();
        let rights = |name: &str| {
            let file = directory.path().join(name);
            let toml = format!("[kernel_log]\nfiles = ['{}']", file.display());
            let account = UserAccount::find("4711", "").unwrap();
            let log = config::parse(&toml, "f").unwrap().kernel_log;
            let groups = account.clone().with_groups(log.reader_groups());
            let reads = access_of(&toml).read.contains(&elsewhere.path().to_owned());
            (groups != account, reads)
        };
        assert_eq!(rights("*.log"), (false, false));
        // Whoever writes the configuration means the target.
        assert_eq!(rights("evil.log"), (true, true));
    }

    /// A remote database needs name resolution and the system's root certificates.
    #[test]
    fn names_and_root_certificates_are_found_when_confined() {
        let access = access_of("[mirror]\nurl = 'postgres://u@db.example.net/log'");
        assert_eq!((&*access.connect, access.names), (&[5432][..], true));
        let roots = rustls_native_certs::load_native_certs().certs.len();
        let plan = RetainedPrivileges { account: None, sandbox: Some(access) };
        let confined = move || {
            let confinement = privileges::drop_privileges(&plan).unwrap();
            assert!(confinement.missing().is_empty());
            let found = rustls_native_certs::load_native_certs().certs.len();
            (found, ("localhost", 1).to_socket_addrs().unwrap().count())
        };
        let (found, addresses) = thread::spawn(confined).join().unwrap();
        assert_eq!(found, roots);
        assert!(addresses > 0);
    }
}
