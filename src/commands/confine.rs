//! What a run keeps of its rights, worked out from the configuration.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, Flags},
    http::Guard,
    mirror::{
        Target,
        target::{Place, Tls},
    },
    privileges::{self, Account, Confinement, Needs, Plan, PrivilegesError},
};

/// Where systems keep the certificates they trust, and what the links there lead to.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// Variables that name others.
const AUTHORITY_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Gives up every right that this run has no further use for, and says what is in force.
///
/// # Errors
/// The user cannot be changed, or a folder not given to it.
pub(super) fn confine(
    flags: &Flags,
    config: &Config,
    guard: &Guard,
    target: Option<&Target>,
) -> Result<Confinement, PrivilegesError> {
    let account = Account::choose(&config.privileges.user, &config.privileges.group)?;
    if let (Some(account), Some(target)) = (&account, target) {
        hand_over(config, target, account)?;
    }
    let user = account.as_ref().map(ToString::to_string);
    let read_again = read_again(flags, config, guard);
    let sandbox = config.privileges.sandbox.then(|| needs(&read_again, config, target));
    let confinement = privileges::give_up(&Plan { account, sandbox })?;
    tracing::info!(user, in_force = %confinement, "gave up what is not needed");
    for (layer, why) in confinement.missing() {
        tracing::warn!(layer = layer.name(), why, "this host cannot confine the program further");
    }
    warn_of_hidden_files(&read_again);
    Ok(confinement)
}

/// Gives the account the folders that are the exporter's own. Another's stays as it is.
fn hand_over(config: &Config, target: &Target, account: &Account) -> Result<(), PrivilegesError> {
    let spool = &config.mirror.spool.directory;
    privileges::hand_over(spool, account)?;
    match &target.place {
        Place::File(file) => {
            let folder = folder_of(file);
            // One that somebody made may be for others, too.
            if folder.exists() { Ok(()) } else { privileges::hand_over(&folder, account) }
        }
        Place::Tcp { .. } | Place::Socket { .. } => Ok(()),
    }
}

fn needs(read_again: &[PathBuf], config: &Config, target: Option<&Target>) -> Needs {
    // A file that is replaced is another file: its folder is what stays.
    let mut read: BTreeSet<PathBuf> = read_again.iter().flat_map(folders_of).collect();
    let mut needs = Needs::default();
    if let Some(target) = target {
        needs.write.push(config.mirror.spool.directory.clone());
        match &target.place {
            Place::File(file) => needs.write.push(folder_of(file)),
            Place::Socket { .. } => {}
            Place::Tcp { host, port } => {
                needs.connect.push(*port);
                needs.names = host.parse::<IpAddr>().is_err();
            }
        }
        match &target.tls {
            Tls::Verified { roots: Some(file) } => read.extend(folders_of(file)),
            Tls::Verified { roots: None } => {
                read.extend(AUTHORITIES.map(PathBuf::from));
                let named = AUTHORITY_VARIABLES.iter().filter_map(env::var_os);
                read.extend(named.flat_map(|path| {
                    let path = PathBuf::from(path);
                    folders_of(&path).into_iter().chain([path])
                }));
            }
            _ => {}
        }
    }
    needs.read = read.into_iter().collect();
    needs
}

/// The files that are read again while the program runs.
fn read_again(flags: &Flags, config: &Config, guard: &Guard) -> Vec<PathBuf> {
    let mirror = &config.mirror;
    let single =
        [flags.config_file.as_ref(), Some(&mirror.url_file), Some(&mirror.anonymize_key_file)];
    let files = single.into_iter().flatten().chain(&config.geoip.databases);
    let files = files.filter(|path| !path.as_os_str().is_empty()).cloned();
    files.chain(guard.files()).collect()
}

/// The folder that a file stands in, and that to which its links lead.
fn folders_of(file: impl AsRef<Path>) -> Vec<PathBuf> {
    let file = file.as_ref();
    let real = file.canonicalize().ok().map(|real| folder_of(&real));
    [Some(folder_of(file)), real].into_iter().flatten().collect()
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Says now which files the next reload will not be able to read.
fn warn_of_hidden_files(files: &[PathBuf]) {
    for file in files {
        if File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            tracing::warn!(
                file = %file.display(),
                "the user that the program runs with cannot read this file: a reload will fail; \
                 let its group read it, and the folders above be entered"
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
        let files = read_again(&Flags::default(), &config, &Guard::default());
        needs(&files, &config, target.as_ref())
    }

    #[test]
    fn a_run_without_a_mirror_needs_the_folders_of_its_databases() {
        let needs = needs_of("[geoip]\ndatabases = ['/var/lib/GeoIP/a.mmdb', 'b.mmdb']");
        assert_eq!(needs.read, [Path::new("/var/lib/GeoIP"), Path::new(".")]);
        assert!(needs.write.is_empty() && needs.connect.is_empty() && !needs.names);
        assert!(needs_of("").read.is_empty());
    }

    #[test]
    fn a_link_leads_to_two_folders() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("v1")).unwrap();
        std::fs::write(real.join("v1/a.mmdb"), "").unwrap();
        std::os::unix::fs::symlink("v1/a.mmdb", real.join("a.mmdb")).unwrap();
        assert_eq!(folders_of(real.join("a.mmdb")), [real.clone(), real.join("v1")]);
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
            let confinement = privileges::give_up(&plan).unwrap();
            assert!(confinement.missing().is_empty());
            let found = rustls_native_certs::load_native_certs().certs.len();
            (found, ("localhost", 1).to_socket_addrs().unwrap().count())
        };
        let (found, addresses) = thread::spawn(confined).join().unwrap();
        assert_eq!(found, authorities);
        assert!(addresses > 0);
    }
}
