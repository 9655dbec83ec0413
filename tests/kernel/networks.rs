//! Named networks and lists of a running exporter without privileges. Requires root and the package sqlite3.

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;

use crate::support::{
    Wire, frame,
    program::{Exporter, open_to_all, samples, sum, wait_for},
};

fn replace(path: &Path, text: &str) {
    let newer = path.with_extension("new");
    fs::write(&newer, text).unwrap();
    fs::rename(newer, path).unwrap();
}

/// Packets of the family `list` by the name of the list; an empty one for packets without.
fn listed(exporter: &Exporter, list: &str, network: &str) -> u64 {
    let text = exporter.scrape();
    let value = |labels: &std::collections::BTreeMap<String, String>, name: &str| {
        labels.get(name).cloned().unwrap_or_default()
    };
    let all = samples(&text, "nflog_list_packets_total");
    let of = all.iter().filter(|(labels, _)| {
        value(labels, "list") == list && value(labels, "source_network_name") == network
    });
    crate::support::program::whole(of.map(|(_, count)| count).sum())
}

#[test]
fn networks_and_lists_are_counted_shown_and_reloaded() {
    let wire = Wire::new();
    wire.host.nft(
        "table inet t {
            chain in { type filter hook prerouting priority raw
                udp dport 9 log prefix \"in\" group 7
            }
        }",
    );
    let files = tempfile::tempdir().unwrap();
    open_to_all(files.path());
    let path = |name: &str| files.path().join(name);
    fs::write(path("drop"), "203.0.113.0/24 ; SBL1\n").unwrap();
    fs::write(path("networks"), "10.1.0.0/16, office, DE, Berlin, 52.5, 13.4\n").unwrap();
    let config = format!(
        "[nflog]\ngroups = [7]\nqueue_timeout = '10ms'\n[networks]\nfile = '{0}/networks'\n[[list]]\n\
         name = 'drop'\nfile = '{0}/drop'\n[[family]]\nname = 'list'\n\
         labels = ['list', 'source_network_name', 'destination_network_name']\n\
         [mirror]\nurl = 'sqlite:{0}/rows.db'\nspool.directory = '{0}/spool'\n",
        files.path().display()
    );
    let exporter = Exporter::start(&wire.host, &config, &[]);
    let send = |source: [u8; 4]| {
        wire.send([frame::udp(source, 4000, 9, b"x")]);
    };
    let wait = |list: &str, network: &str, count: u64| {
        wait_for(&format!("{count} packets of {list:?} from {network:?}"), || {
            (listed(&exporter, list, network) == count).then_some(())
        });
    };
    let reloads = |metric: &str, result: &str| {
        let text = exporter.scrape();
        let all = samples(&text, &format!("nflog_exporter_{metric}_reloads_total"));
        let of = all.iter().filter(|(labels, _)| labels["result"] == result);
        crate::support::program::whole(of.map(|(_, count)| count).sum())
    };
    let wait_reloads = |metric: &str, result: &str, count: u64| {
        wait_for(&format!("{result} of {metric}"), || {
            (reloads(metric, result) == count).then_some(())
        });
    };

    send([203, 0, 113, 5]);
    wait("drop", "", 1);
    send([10, 1, 2, 3]);
    wait("", "office", 1);
    let text = exporter.scrape();
    let countries = samples(&text, "nflog_country_packets_total");
    let of_de = countries.iter().find(|(labels, _)| labels["country"] == "DE");
    assert_eq!(of_de.map(|(_, count)| *count), Some(1.0), "{countries:?}");
    let (_, markers) = exporter.get("/markers.geojson").unwrap();
    assert!(markers.contains("Berlin") && markers.contains("13.4"), "{markers}");

    // Replaced files are read after the privileges were dropped.
    replace(&path("drop"), "198.18.0.0/15\n");
    wait_reloads("list", "success", 1);
    replace(&path("networks"), "10.1.0.0/16, campus\n203.0.113.0/24, documentation\n");
    wait_reloads("networks", "success", 1);
    send([203, 0, 113, 5]);
    wait("", "documentation", 1);
    send([198, 18, 0, 5]);
    wait("drop", "", 2);
    replace(&path("drop"), "<html>\n");
    wait_reloads("list", "failure", 1);
    send([198, 19, 0, 5]);
    wait("drop", "", 3);
    assert_eq!(sum(&exporter.scrape(), "nflog_exporter_list_entries"), 1);

    // A reload of the configuration reads the files too, and rejects an invalid one.
    exporter.program.signal(Signal::SIGHUP);
    wait_for("a failed reload", || {
        (sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful") == 0).then_some(())
    });
    replace(&path("drop"), "203.0.113.0/24\n");
    exporter.program.signal(Signal::SIGHUP);
    wait_for("a reload", || {
        (sum(&exporter.scrape(), "nflog_exporter_config_last_reload_successful") == 1).then_some(())
    });
    send([203, 0, 113, 5]);
    wait("drop", "documentation", 1);

    let rows = || {
        let query = "SELECT coalesce(source_network_name, '-') || ' ' || coalesce(list, '-') || ' ' || country || \
                     ' ' || coalesce(city, '-') FROM packets ORDER BY id";
        let output = Command::new("sqlite3").arg(path("rows.db")).arg(query).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let expect = "- drop private -\noffice - DE Berlin\ndocumentation - private -\n- drop private -\n\
                  - drop private -\ndocumentation drop private -\n";
    wait_for("the rows", || (rows() == expect).then_some(()));
}
