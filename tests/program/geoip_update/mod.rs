//! `geoip update` with an HTTPS server of the tests, which misbehaves, and a proxy.

mod dbip;
mod maxmind;
mod proxy;
mod server;

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use self::server::{Reply, Server};
use crate::support::{
    mmdb::{self, Value},
    program::{EXPORTER, Program, get_from, samples, wait_for},
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

/// Without a configured database, and within its sandbox.
#[test]
fn a_running_exporter_uses_a_downloaded_database() {
    let packed = (gzip(&country(OCTOBER)), gzip(&country(NOVEMBER)));
    let server = Server::start(move |request| {
        let is_first = request.header("if-none-match").is_none();
        let packed = if is_first { &packed.0 } else { &packed.1 };
        Reply::new("200 OK", &["ETag: \"1\"".into()], packed)
    });
    let host = Host::new(&server, "");
    // The package creates it.
    fs::create_dir_all(host.path("state/geoip")).unwrap();
    for name in ["log", "state/positions"] {
        File::create(host.path(name)).unwrap();
        fs::set_permissions(host.path(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    let text = fs::read_to_string(&host.config).unwrap();
    let sources = format!(
        "[web]\nlisten_addresses = ['127.0.0.1:0']\n[kernel_log]\nfiles = ['{}']\nstate_file = '{}'\n",
        host.path("log").display(),
        host.path("state/positions").display()
    );
    fs::write(&host.config, text + &sources).unwrap();
    let mut command = Command::new(EXPORTER);
    command.arg("--config.file").arg(&host.config).stdin(Stdio::null());
    let exporter = Program::start(&mut command, host.path("exporter.out"));
    let address = wait_for("the exporter to serve", || {
        exporter.log().split_once("metrics=http://")?.1.split_once('/')?.0.parse().ok()
    });
    let databases = || {
        let (_, metrics) = get_from(address, "/metrics")?;
        let built = samples(&metrics, "nflog_exporter_geoip_build_timestamp_seconds");
        Some(built.into_iter().map(|(labels, built)| (labels["database"].clone(), built)))
    };
    let uses = |name: &str, built: Option<f64>| {
        wait_for("the database", || {
            let found = databases()?.collect::<Vec<_>>();
            let is_it = |(found, when): &(String, f64)| {
                found == name && built.is_none_or(|built| (built - when).abs() < 1.0)
            };
            (found.len() == 1 && is_it(&found[0])).then_some(())
        });
    };
    uses("embedded", None);
    host.update(&[]).says("updated: DBIP-Country-Lite, built 2026-10-01");
    uses("country.mmdb", Some(1_790_812_800.0));
    host.update(&[]).says("updated: DBIP-Country-Lite, built 2026-11-01");
    uses("country.mmdb", Some(1_793_491_200.0));
}
