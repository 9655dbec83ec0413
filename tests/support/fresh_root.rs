//! A minimal root of this host's Debian release, created by debootstrap, like a new machine. Requires root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::server::run;

/// Programs that every Debian server has, or that the documents require.
const INCLUDED: &str = "dbus,libgcc-s1,nftables,systemd,systemd-sysv";

/// The directory of the root, kept in the target directory for the next run. It must not be changed.
///
/// It has this host's release, because the program under test is linked with this host's C library.
pub fn fresh_root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let release = value("/etc/os-release", "VERSION_CODENAME=");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = target.join(format!("root-{release}-{INCLUDED}"));
        if root.exists() {
            return root;
        }
        let unfinished = target.join(format!("root-{release}-unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        let mut debootstrap = Command::new("debootstrap");
        if let Some(proxy) = proxy() {
            debootstrap.env("http_proxy", proxy);
        }
        debootstrap.args(["--variant=minbase", "--include", INCLUDED, &release]);
        run(debootstrap.arg(&unfinished).arg(mirror(&release)));
        // Downloaded packages that are not needed again.
        run(Command::new("rm").arg("-rf").arg(unfinished.join("var/cache/apt/archives")));
        fs::create_dir_all(unfinished.join("var/cache/apt/archives/partial")).unwrap();
        fs::rename(&unfinished, &root).unwrap();
        root
    })
}

/// The value of a shell assignment in a file.
fn value(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {path}")).trim_matches('"').to_owned()
}

/// The site of a release in this host's apt configuration.
fn mirror(release: &str) -> String {
    let format = "$(CODENAME) $(COMPONENT) $(SITE)";
    let output = run(Command::new("apt-get").args(["indextargets", "--format", format]));
    let wanted = format!("{release} main ");
    let text = String::from_utf8(output.stdout).unwrap();
    let site = text.lines().find_map(|line| line.strip_prefix(&*wanted));
    site.unwrap_or_else(|| panic!("no source of {release} in the configuration of apt")).to_owned()
}

/// The proxy of this host's apt configuration.
fn proxy() -> Option<String> {
    let output = run(Command::new("apt-config").args(["shell", "PROXY", "Acquire::http::Proxy"]));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.trim().strip_prefix("PROXY='")?.strip_suffix('\'')?.to_owned())
}
