//! `packaging/compose` and `packaging/kubernetes`: mounted files, ports, passwords, and the configuration of each
//! program. `tests/run deployments` checks the files against the schemas of Compose and Kubernetes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nflog_exporter::config;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    dashboards::Dashboard,
    documents::{read, root},
    server::{attempt, run},
};

const COMPOSE: &str = "packaging/compose";
const KUBERNETES: &str = "packaging/kubernetes/nflog_exporter.yaml";
/// The directory of the dashboards in the container of Grafana.
const DASHBOARDS: &str = "/var/lib/grafana/dashboards/nflog";

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn compose() -> Value {
    yaml(&read(&format!("{COMPOSE}/compose.yaml")))
}

/// A service of `compose.yaml`.
fn service(name: &str) -> Value {
    let service = compose()["services"][name].clone();
    assert!(service.is_object(), "no service {name}");
    service
}

/// The configuration without a file.
fn defaults() -> config::Config {
    config::parse("", "defaults").unwrap()
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The files and directories of the repository that a service mounts, with their paths in the container.
fn mounts(service: &Value) -> Vec<(PathBuf, String)> {
    let mut mounts = Vec::new();
    for volume in texts(&service["volumes"]).iter().filter(|volume| volume.starts_with('.')) {
        let [source, target, "ro"] = volume.split(':').collect::<Vec<_>>()[..] else {
            panic!("{volume}: expected SOURCE:TARGET:ro");
        };
        let source = root().join(COMPOSE).join(source);
        assert!(source.exists(), "{volume}: {} does not exist", source.display());
        mounts.push((source, target.to_owned()));
    }
    mounts
}

/// A directory with what a service mounts, as its root directory.
fn mounted(service: &Value) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (source, target) in mounts(service) {
        let target = directory.path().join(&target[1..]);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        symlink(source, target).unwrap();
    }
    directory
}

/// The value of the option `--NAME=VALUE` in a command.
fn option(command: &Value, name: &str) -> String {
    let prefix = format!("--{name}=");
    let command = texts(command);
    let value = command.iter().find_map(|word| word.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {prefix} in {command:?}")).to_owned()
}

#[test]
fn every_service_listens_on_loopback_only() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(service.get("ports").is_none(), "{name}");
        let address = match name.as_str() {
            "exporter" => {
                let config =
                    config::parse(&read(&format!("{COMPOSE}/exporter.toml")), "file").unwrap();
                assert_eq!(config.web, defaults().web, "another address");
                config.web.listen_addresses[0].host.clone()
            }
            "mariadb" => option(&service["command"], "bind-address"),
            "prometheus" => option(&service["command"], "web.listen-address"),
            "grafana" => service["environment"]["GF_SERVER_HTTP_ADDR"].as_str().unwrap().to_owned(),
            _ => panic!("{name}: where does it listen?"),
        };
        assert_eq!(address.split(':').next(), Some("127.0.0.1"), "{name}");
    }
}

#[test]
fn images_have_versions_and_the_exporter_that_of_the_crate() {
    let exporter = format!("ghcr.io/nflog-exporter/nflog_exporter:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(service("exporter")["image"], exporter.as_str());
    assert!(read(KUBERNETES).contains(&format!("image: {exporter}\n")), "{KUBERNETES}");
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').unwrap().1.trim_start_matches('v');
        let is_version = tag.split('.').all(|part| part.parse::<u32>().is_ok());
        assert!(is_version && tag.split('.').count() == 3, "{name}: {image}");
    }
}

/// The passwords in a file of environment variables.
fn passwords(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_script_writes_every_password_once() {
    let directory = tempfile::tempdir().unwrap();
    let (script, file) = (directory.path().join("passwords"), directory.path().join(".env"));
    fs::copy(root().join(COMPOSE).join("passwords"), &script).unwrap();
    run(Command::new("sh").arg(&script));
    let written = passwords(&file);
    let compose = read(&format!("{COMPOSE}/compose.yaml"));
    let needed: BTreeSet<_> = compose
        .split("${")
        .skip(1)
        .map(|rest| rest.split_once(":?run ./passwords}").expect("no default value").0.to_owned())
        .collect();
    assert_eq!(written.keys().cloned().collect::<BTreeSet<_>>(), needed);
    let values: BTreeSet<_> = written.values().collect();
    assert_eq!(values.len(), written.len(), "each account has its own password");
    for value in values {
        // They are part of a URL and of an SQL statement, without quoting.
        assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let error = attempt(Command::new("sh").arg(&script)).unwrap_err();
    assert!(error.contains("exists"), "{error}");
    assert_eq!(passwords(&file), written);
}

#[test]
fn prometheus_accepts_its_configuration_and_scrapes_the_exporter() {
    let prometheus = service("prometheus");
    let directory = mounted(&prometheus);
    let file = directory.path().join(&option(&prometheus["command"], "config.file")[1..]);
    let output = run(Command::new("promtool").args(["check", "config"]).arg(&file));
    let output = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.matches(" rules found").count(), 2, "{output}");
    let config = yaml(&fs::read_to_string(file).unwrap());
    let exporter = &defaults().web.listen_addresses[0];
    let target = &config["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(target, &Value::from(format!("{}:{}", exporter.host, exporter.port)));
}

/// The data sources of a provisioning file by `uid`.
fn sources(text: &str) -> BTreeMap<String, Value> {
    let file = yaml(text);
    let sources = file["datasources"].as_array().unwrap().iter();
    sources.map(|source| (source["uid"].as_str().unwrap().to_owned(), source.clone())).collect()
}

#[test]
fn grafana_finds_each_dashboard_and_its_data_source() {
    let grafana = service("grafana");
    let directory = mounted(&grafana);
    let at = |path: &str| directory.path().join(&path[1..]);
    let provisioning = at("/etc/grafana/provisioning");
    let text = fs::read_to_string(provisioning.join("datasources/nflog.yaml")).unwrap();
    let own = sources(&text);
    let all = sources(&read("dashboards/provisioning/datasources/nflog.yaml"));
    for (uid, source) in &own {
        assert_eq!(Some(source), all.get(uid), "differs from dashboards/provisioning");
    }
    let kinds: BTreeSet<_> = own.values().map(|source| source["type"].as_str().unwrap()).collect();
    let expected: BTreeSet<_> = Dashboard::all()
        .into_iter()
        .filter(|dashboard| {
            let variables = dashboard.variables().iter();
            let mut kind = variables.filter(|variable| variable["type"] == "datasource");
            kinds.contains(kind.next().unwrap()["query"].as_str().unwrap())
        })
        .map(|dashboard| dashboard.file)
        .collect();
    assert!(expected.len() >= 3, "{expected:?}");
    let files: BTreeSet<_> = fs::read_dir(at(DASHBOARDS))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, expected);

    let provider = fs::read_to_string(provisioning.join("dashboards/nflog.yaml")).unwrap();
    assert_eq!(yaml(&provider)["providers"][0]["options"]["path"], DASHBOARDS);
    let environment = &grafana["environment"];
    let home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    assert!(at(home).is_file(), "{home}");
    for variable in text.split("$__env{").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        assert!(environment[variable].is_string(), "{variable}");
    }
    let prometheus = yaml(&read(&format!("{COMPOSE}/prometheus.yml")));
    let interval = &own["nflog-prometheus"]["jsonData"]["timeInterval"];
    assert_eq!(interval, &prometheus["global"]["scrape_interval"]);
}

#[test]
fn the_manifests_of_kubernetes_agree_with_each_other_and_with_the_program() {
    let manifests: Vec<_> = read(KUBERNETES).split("\n---\n").map(yaml).collect();
    let of = |kind: &str| manifests.iter().find(|manifest| manifest["kind"] == kind).unwrap();
    let (namespace, map, daemon_set) = (of("Namespace"), of("ConfigMap"), of("DaemonSet"));
    let monitor = yaml(&read("packaging/kubernetes/podmonitor.yaml"));
    for manifest in [map, daemon_set, &monitor] {
        assert_eq!(manifest["metadata"]["namespace"], namespace["metadata"]["name"]);
    }
    let pod = &daemon_set["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&daemon_set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);

    // The file of the argument is a key of the map, below the path where the map is mounted.
    let container = &pod["spec"]["containers"][0];
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["configMap"].is_object()).unwrap();
    assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).unwrap();
    let file = option(&container["args"], "config.file");
    let key = Path::new(&file).strip_prefix(mount["mountPath"].as_str().unwrap()).unwrap();
    let text = map["data"][key.to_str().unwrap()].as_str().unwrap();
    let config = config::parse(text, &file).unwrap();
    let spool = config.mirror.spool.directory;
    assert!(mounts.iter().any(|mount| mount["mountPath"] == spool.to_str().unwrap()), "{spool:?}");

    let port = &container["ports"][0];
    let listens = option(&container["args"], "web.listen-address");
    assert_eq!(listens, format!("$(NODE_ADDRESS):{}", port["containerPort"]));
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], port["name"]);
    for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
        let probe = &container[probe]["httpGet"];
        assert_eq!((&probe["path"], &probe["port"]), (&path.into(), &port["name"]));
    }
}
