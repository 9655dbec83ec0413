//! A running exporter, without a configured database, takes an update up.

use std::{fs::File, process::Stdio};

use super::*;
use crate::support::program::{Program, get_from, samples, wait_for};

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
