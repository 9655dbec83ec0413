//! `geoip update` with an HTTPS server of the tests, which misbehaves, and a proxy.

mod dbip;
mod maxmind;
mod proxy;
mod running;
mod server;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use self::server::{Reply, Server};
use crate::support::{
    mmdb::{self, Value},
    program::EXPORTER,
};

/// 2026-10-01 and 2026-11-01.
const OCTOBER: u64 = 1_790_812_800;
const NOVEMBER: u64 = 1_793_491_200;

/// Variables of the environment that change what the program does.
const VARIABLES: [&str; 7] = [
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "NFLOG_EXPORTER_MAXMIND_LICENSE_KEY",
];

/// A country database of DB-IP.
fn country(built: u64) -> Vec<u8> {
    let country = Value::Map(vec![("iso_code", Value::Text("NL"))]);
    mmdb::everywhere("DBIP-Country-Lite", built, &Value::Map(vec![("country", country)]))
}

/// A database of AS numbers.
fn asn(edition: &'static str, built: u64) -> Vec<u8> {
    let record = Value::Map(vec![("autonomous_system_number", Value::Long(64_500))]);
    mmdb::everywhere(edition, built, &record)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A host whose configuration names a server.
struct Host {
    directory: TempDir,
    config: PathBuf,
}

/// The result of a command.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Host {
    /// A configuration for a server, with more keys of `[geoip.update]`.
    fn new(server: &Server, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The exporter drops its privileges.
        crate::support::program::open_to_all(directory.path());
        let config = directory.path().join("config.toml");
        let host = Self { directory, config };
        host.configure(&host.databases_in_directory(), &server.url(), &server.ca_file(), more);
        host
    }

    fn databases_in_directory(&self) -> String {
        format!("directory = '{}'", self.path("state/geoip").display())
    }

    fn configure(&self, geoip: &str, server: &str, ca_file: &Path, more: &str) {
        let ca_file = ca_file.display();
        let text = format!(
            "[geoip]\n{geoip}\n[geoip.update]\nserver = '{server}'\nca_file = '{ca_file}'\nmax_size = '1MiB'\n{more}\n"
        );
        fs::write(&self.config, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn country(&self) -> PathBuf {
        self.path("state/geoip/country.mmdb")
    }

    /// Writes a database as an earlier update did.
    fn write_country(&self, bytes: &[u8]) {
        fs::create_dir_all(self.path("state/geoip")).unwrap();
        fs::write(self.country(), bytes).unwrap();
    }

    /// Runs `geoip update` with variables of the environment.
    fn update_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(EXPORTER);
        command.args(["geoip", "update", "--config.file"]).arg(&self.config).args(arguments);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn update(&self, arguments: &[&str]) -> Outcome {
        self.update_with(arguments, &[])
    }

    /// Names of the files in the directory of databases.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("state/geoip")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn mode(&self) -> u32 {
        fs::metadata(self.country()).unwrap().permissions().mode() & 0o7777
    }
}

impl Outcome {
    /// Checks that the command succeeded and printed this.
    #[track_caller]
    fn says(&self, text: &str) {
        let Self { code, stdout, stderr } = self;
        assert!(*code == 0 && stderr.is_empty(), "{code}: {stderr}");
        assert!(stdout.contains(text), "{stdout}");
    }

    /// Checks that the command failed with this message.
    #[track_caller]
    fn fails(&self, code: i32, text: &str) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("nflog_exporter: "), "{}", self.stderr);
        assert!(self.stderr.contains(text), "{}", self.stderr);
    }
}
