//! Names of services, for the ports that firewalls log most often.

/// The usual name of the service on a port; empty for a port without a well-known service.
///
/// Names are those of IANA's registry, or the common ones where these differ.
#[must_use]
pub fn service_name(port: u16) -> &'static str {
    SERVICES.binary_search_by_key(&port, |(port, _)| *port).map_or("", |index| SERVICES[index].1)
}

/// Sorted by port.
#[rustfmt::skip]
const SERVICES: &[(u16, &str)] = &[
    (7, "echo"), (13, "daytime"), (17, "qotd"), (19, "chargen"), (20, "ftp-data"), (21, "ftp"),
    (22, "ssh"), (23, "telnet"), (25, "smtp"), (37, "time"), (43, "whois"), (49, "tacacs"),
    (53, "dns"), (67, "dhcp"), (68, "dhcp"), (69, "tftp"), (70, "gopher"), (79, "finger"),
    (80, "http"), (81, "http-alt"), (88, "kerberos"), (102, "s7comm"), (110, "pop3"),
    (111, "rpcbind"), (113, "ident"), (119, "nntp"), (123, "ntp"), (135, "msrpc"),
    (137, "netbios-ns"), (138, "netbios-dgm"), (139, "netbios-ssn"), (143, "imap"), (161, "snmp"),
    (162, "snmp-trap"), (177, "xdmcp"), (179, "bgp"), (389, "ldap"), (427, "slp"), (443, "https"),
    (444, "snpp"), (445, "smb"), (464, "kpasswd"), (465, "smtps"), (500, "isakmp"), (502, "modbus"),
    (512, "exec"), (513, "login"), (514, "syslog"), (515, "printer"), (520, "rip"), (523, "ibm-db2"),
    (546, "dhcpv6"), (547, "dhcpv6"), (548, "afp"), (554, "rtsp"), (587, "submission"),
    (593, "rpc-http"), (623, "ipmi"), (631, "ipp"), (636, "ldaps"), (873, "rsync"), (902, "vmware"),
    (989, "ftps-data"), (990, "ftps"), (993, "imaps"), (995, "pop3s"), (1080, "socks"),
    (1099, "rmi"), (1194, "openvpn"), (1433, "mssql"), (1434, "mssql-browser"), (1521, "oracle"),
    (1701, "l2tp"), (1720, "h323"), (1723, "pptp"), (1812, "radius"), (1813, "radius-acct"),
    (1883, "mqtt"), (1900, "ssdp"), (1911, "niagara-fox"), (2049, "nfs"), (2082, "cpanel"),
    (2083, "cpanel"), (2121, "ftp-alt"), (2181, "zookeeper"), (2222, "ssh-alt"), (2323, "telnet-alt"),
    (2375, "docker"), (2376, "docker"), (2379, "etcd"), (2404, "iec-104"), (3000, "http-dev"),
    (3128, "squid"), (3268, "ldap-gc"), (3283, "apple-remote"), (3306, "mysql"), (3389, "rdp"),
    (3478, "stun"), (3690, "svn"), (3702, "ws-discovery"), (4369, "epmd"), (4444, "metasploit"),
    (4500, "ipsec-nat-t"), (4567, "tr-069"), (4786, "cisco-smi"), (4840, "opc-ua"), (5000, "upnp"),
    (5004, "rtp"), (5038, "asterisk"), (5060, "sip"), (5061, "sips"), (5222, "xmpp"),
    (5353, "mdns"), (5355, "llmnr"), (5432, "postgresql"), (5555, "adb"), (5601, "kibana"),
    (5672, "amqp"), (5683, "coap"), (5800, "vnc-http"), (5900, "vnc"), (5901, "vnc"), (5938, "teamviewer"),
    (5984, "couchdb"), (5985, "winrm"), (5986, "winrm"), (6000, "x11"), (6379, "redis"),
    (6443, "kubernetes"), (6667, "irc"), (6881, "bittorrent"), (7001, "weblogic"), (7547, "tr-069"),
    (8000, "http-alt"), (8008, "http-alt"), (8080, "http-alt"), (8081, "http-alt"), (8088, "http-alt"),
    (8089, "splunk"), (8090, "http-alt"), (8291, "winbox"), (8333, "bitcoin"), (8443, "https-alt"),
    (8545, "ethereum"), (8728, "mikrotik-api"), (8883, "mqtts"), (8888, "http-alt"), (9000, "http-alt"),
    (9042, "cassandra"), (9090, "prometheus"), (9092, "kafka"), (9100, "jetdirect"),
    (9200, "elasticsearch"), (9300, "elasticsearch"), (9418, "git"), (10000, "webmin"),
    (10050, "zabbix-agent"), (10051, "zabbix"), (10250, "kubelet"), (11211, "memcached"),
    (15672, "rabbitmq"), (17500, "dropbox"), (18080, "http-alt"), (20000, "dnp3"), (25565, "minecraft"),
    (27015, "steam"), (27017, "mongodb"), (30303, "ethereum"), (32400, "plex"), (33060, "mysqlx"),
    (37215, "huawei-hg532"), (37777, "dahua"), (44818, "ethernet-ip"), (47808, "bacnet"),
    (49152, "upnp"), (50000, "sap"), (50070, "hadoop"), (51820, "wireguard"), (52869, "upnp-soap"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_sorted_and_found() {
        assert!(SERVICES.is_sorted_by_key(|(port, _)| *port));
        for window in SERVICES.windows(2) {
            assert!(window[0].0 < window[1].0, "{window:?}");
        }
        assert_eq!((service_name(22), service_name(3389), service_name(0)), ("ssh", "rdp", ""));
    }
}
