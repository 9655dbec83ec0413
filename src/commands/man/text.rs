//! The texts of the manual page that are not in the command line's help.

/// The paragraphs of the description.
pub(super) const DESCRIPTION: [&str; 3] = [
    "Reads the packets that iptables or nftables log to an NFLOG group or to the kernel's log, and exports a bounded number of counters \
     by log prefix, protocol, country, port and network for Prometheus. Serves a page \
     with a world map, and optionally writes each packet as a row to MySQL, PostgreSQL, ClickHouse or SQLite.",
    "Packets come from rules such as \"nft add rule inet filter input tcp dport 22 ct state new log \
     prefix ssh group 1\", or from the program's own table, --rules.install. A group has one reader. Lines of ufw and of LOG rules are read with --kernel-log.kmsg, \
     --kernel-log.file and --kernel-log.syslog.",
    "It needs the capability CAP_NET_ADMIN to start. After it has opened its sockets it drops its privileges: it \
     changes the user, drops all capabilities, and restricts files, ports and system calls by Landlock and seccomp.",
];

/// Sections after the options: name and paragraphs.
pub(super) const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "FILES",
        &[
            "/etc/nflog_exporter/config.toml: the configuration of the packaged service, TOML; the program itself \
             reads the file of --config.file and no other. \"nflog_exporter config show\" prints every key with its \
             value. An empty file means the defaults, and causes a warning.",
            "/var/lib/nflog_exporter: the spool, where rows wait for the database; mirror.spool.directory names \
             another directory. Only one exporter uses it. The packaged service \
             can write to no other directory.",
            "/var/lib/nflog_exporter/geoip: the databases that \"nflog_exporter geoip update\" downloads; geoip.directory \
             names another directory.",
            "The configuration names further files: GeoIP databases (geoip.databases, .mmdb), names of \
             networks (networks.file), lists of addresses (list.file), TLS and basic auth (web.config_file), the database's URL (mirror.url_file), the key that encrypts addresses \
             (mirror.anonymize_key_file) and the license key of MaxMind (geoip.update.license_key_file). GeoIP databases, networks, lists and the web \
             configuration are reloaded when they are replaced.",
            "/proc/net/netfilter/nfnetlink_log: the groups that the kernel logs to, each with the port of its \
             reader.",
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            "NFLOG_EXPORTER_MIRROR_URL: the URL of the database, instead of --mirror.url, so that no password \
             is on a command line.",
            "NFLOG_EXPORTER_MAXMIND_LICENSE_KEY: the license key for geoip update, instead of \
             geoip.update.license_key_file.",
            "NFLOG_EXPORTER_TOP_URL, NFLOG_EXPORTER_TOP_PASSWORD: the URL of the exporter that top shows, and the password of the \
             user in the URL. NO_COLOR: top and report show no colours.",
            "HTTPS_PROXY, ALL_PROXY, NO_PROXY, also in lower case: the proxy of geoip update, as in curl(1).",
            "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS: set by systemd; see sd_notify(3) and sd_listen_fds(3).",
        ],
    ),
    (
        "SIGNALS",
        &[
            "SIGHUP reloads the configuration and the GeoIP databases, and opens the files of outputs again, which SIGUSR1 \
             does alone. If the configuration is invalid, the \
             previous one stays in use, and nflog_exporter_config_last_reload_successful is 0.",
            "SIGTERM and SIGINT end the program: it reads the packets that the kernel still holds, and finishes \
             requests. Rows that the database does not accept stay in the spool.",
        ],
    ),
    (
        "EXIT STATUS",
        &[
            "0: success. 1: a failure at run time; a failed check of doctor; a file of replay that could not be \
             read. 2: invalid usage or configuration.",
        ],
    ),
];

/// Purposes, and a command line for each.
pub(super) const EXAMPLES: [(&str, &str); 10] = [
    (
        "Log all inbound packets and serve a map at http://127.0.0.1:10239/:",
        "nflog_exporter --rules.install",
    ),
    (
        "Read the group of your own rules, and keep each packet in a file:",
        "nflog_exporter --nflog.group 5 --mirror.url sqlite:/var/lib/nflog_exporter/packets.db",
    ),
    ("Count the packets of a capture:", "tcpdump -i eth0 -w - -c 10000 | nflog_exporter replay -"),
    (
        "Convert the configuration of ulogd:",
        "nflog_exporter migrate /etc/ulogd.conf --output /etc/nflog_exporter/config.toml",
    ),
    (
        "Print the rules of iptables with NFLOG in place of LOG and ULOG:",
        "iptables-save | nflog_exporter migrate --rules -",
    ),
    (
        "Copy the rows of ulogd's database:",
        "nflog_exporter --config.file FILE migrate rows mysql://ulogd@localhost/ulogd",
    ),
    ("Download the newest country database:", "nflog_exporter --config.file FILE geoip update"),
    ("Show a running exporter in the terminal:", "nflog_exporter top http://127.0.0.1:10239"),
    ("Find out why no packet is counted:", "nflog_exporter --config.file FILE doctor"),
    ("Check a configuration before it is used:", "nflog_exporter --config.file FILE config check"),
];

/// References of the last section.
pub(super) const SEE_ALSO: &str = "nft(8), iptables-extensions(8), tcpdump(8), prometheus(1), ulogd(8), landlock(7), \
                        seccomp(2), capabilities(7)";
