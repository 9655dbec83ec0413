//! Checks whether the systemd unit's sandbox allows access to the exporter's files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::Group;

use super::{
    Finding,
    file_access::{read_files, written_directories},
};
use crate::{
    config::{Config, Flags},
    system::privileges::UserAccount,
};

/// The unit in the packages.
const UNIT: &str = "nflog_exporter.service";

/// Checks the unit's sandbox; `None` if no unit runs the exporter with this configuration.
pub(super) fn sandbox(flags: &Flags, config: &Config) -> Option<Finding> {
    let unit = Unit::find()?;
    if !unit.starts_with(flags.config_file.as_deref()?) {
        return None;
    }
    let (read, write) = (read_files(flags, config), written_directories(config));
    Some(match unit.obstacle(&read, &write) {
        Some((what, fix)) => Finding::failed("unit", what, fix),
        None => Finding::ok("unit", format!("{UNIT} allows access to the exporter's files")),
    })
}

/// The account of the unit; `None` if it starts as root, or if no unit runs the exporter with this configuration.
pub(super) fn account(flags: &Flags) -> Option<UserAccount> {
    let unit = Unit::find()?;
    unit.starts_with(flags.config_file.as_deref()?).then(|| unit.account())?
}

/// The properties of the unit, as `systemctl show` prints them: systemd.exec(5).
struct Unit(HashMap<String, String>);

impl Unit {
    /// The loaded unit; `None` without systemd or the unit.
    fn find() -> Option<Self> {
        let output = Command::new("systemctl").args(["show", UNIT]).output().ok()?;
        let unit = Self::of(&String::from_utf8_lossy(&output.stdout));
        (output.status.success() && unit.property("LoadState") == "loaded").then_some(unit)
    }

    fn of(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn property(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Its user with its groups; `None` for root.
    fn account(&self) -> Option<UserAccount> {
        let user = Some(self.property("User")).filter(|user| !user.is_empty())?;
        let account = UserAccount::find(user, self.property("Group")).ok()?;
        let names = self.property("SupplementaryGroups").split_whitespace();
        let groups = names.filter_map(|name| Some(Group::from_name(name).ok()??.gid.as_raw()));
        Some(account.with_groups(groups)).filter(|account| !account.is_root())
    }

    /// Whether it starts the exporter with this configuration file.
    fn starts_with(&self, config_file: &Path) -> bool {
        let file = config_file.display().to_string();
        self.property("ExecStart").split([' ', '=']).any(|word| word == file)
    }

    /// The first file that the sandbox hides or directory that it makes read-only, and the fix.
    fn obstacle(&self, read: &[PathBuf], write: &[PathBuf]) -> Option<(String, String)> {
        if let Some((path, setting)) = read.iter().chain(write).find_map(|path| self.hides(path)) {
            return Some((
                format!("{} is invisible to {UNIT}: {setting}", path.display()),
                "move it to another directory, for example /etc/nflog_exporter or /var/lib/nflog_exporter".into(),
            ));
        }
        let directory = write.iter().find(|directory| !self.is_writable(directory))?;
        let directory = directory.display();
        Some((
            format!("{directory} is read-only for {UNIT}: ProtectSystem=strict"),
            format!(
                "systemctl edit {UNIT}, add the lines [Service] and ReadWritePaths={directory}, then \
                 systemctl restart {UNIT}; or use a directory in /var/lib/nflog_exporter"
            ),
        ))
    }

    /// The setting that hides a path, if any.
    fn hides<'p>(&self, path: &'p Path) -> Option<(&'p Path, &'static str)> {
        const HIDDEN: [(&str, &str, &[&str]); 2] = [
            ("ProtectHome", "ProtectHome=yes", &["/home", "/root", "/run/user"]),
            ("PrivateTmp", "PrivateTmp=yes", &["/tmp", "/var/tmp"]),
        ];
        HIDDEN.iter().find_map(|(name, setting, roots)| {
            let is_below = roots.iter().any(|root| path.starts_with(root));
            (self.property(name) == "yes" && is_below).then_some((path, *setting))
        })
    }

    fn is_writable(&self, directory: &Path) -> bool {
        if self.property("ProtectSystem") != "strict" {
            return true;
        }
        // Prefixes of a path: `-` for an optional one, `+` for one relative to RootDirectory=.
        let paths = self
            .property("ReadWritePaths")
            .split(' ')
            .map(|path| PathBuf::from(path.trim_start_matches(['-', '+'])));
        let own = [("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")];
        let own = own.into_iter().flat_map(|(name, root)| {
            let names = self.property(name).split(' ').filter(|name| !name.is_empty());
            names.map(move |name| Path::new(root).join(name))
        });
        let mut allowed = paths.filter(|path| path.is_absolute()).chain(own);
        allowed.any(|path| directory.starts_with(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "LoadState=loaded\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\n\
        StateDirectory=nflog_exporter\nReadWritePaths=-/srv/rows +/mnt/x\n\
        ExecStart={ path=/usr/bin/nflog_exporter ; argv[]=/usr/bin/nflog_exporter --config.file \
        /etc/nflog_exporter/config.toml ; ignore_errors=no }\n";

    #[test]
    fn the_unit_names_its_configuration() {
        let unit = Unit::of(SHOWN);
        assert!(unit.starts_with(Path::new("/etc/nflog_exporter/config.toml")));
        assert!(!unit.starts_with(Path::new("/etc/nflog_exporter/config")));
    }

    #[test]
    fn the_unit_has_an_account() {
        let account = |text: &str| Unit::of(text).account();
        assert_eq!(account(SHOWN), None);
        assert_eq!(account("User=root\n"), None);
        let nobody = UserAccount::find("nobody", "").unwrap();
        assert_eq!(account("User=nobody\n"), Some(nobody.clone()));
        let adm = Group::from_name("adm").unwrap().unwrap().gid.as_raw();
        assert_eq!(
            account("User=nobody\nSupplementaryGroups=adm\n"),
            Some(nobody.with_groups([adm]))
        );
    }

    #[test]
    fn obstacles_of_the_sandbox() {
        let check = |read: &str, write: &str| {
            let paths = |text: &str| text.split_whitespace().map(PathBuf::from).collect::<Vec<_>>();
            Unit::of(SHOWN).obstacle(&paths(read), &paths(write)).map(|(what, _)| what)
        };
        assert_eq!(
            check("/etc/a /var/lib/b", "/var/lib/nflog_exporter/spool /srv/rows /mnt/x/y"),
            None
        );
        let read_only = check("/etc/a", "/var/lib/nflog_exporter /srv/rows2").unwrap();
        assert!(read_only.starts_with("/srv/rows2 is read-only for nflog_exporter.service"));
        let hidden = check("/home/me/a.mmdb", "").unwrap();
        assert!(
            hidden.starts_with("/home/me/a.mmdb is invisible") && hidden.contains("ProtectHome")
        );
        assert!(check("", "/tmp/spool").unwrap().contains("PrivateTmp=yes"));
        let open = Unit::of("LoadState=loaded\nProtectSystem=no\n");
        assert_eq!(open.obstacle(&["/home/a".into()], &["/srv".into()]), None);
    }
}
