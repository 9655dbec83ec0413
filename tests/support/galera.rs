//! A Galera cluster of three MariaDB servers, each in a network namespace of its own. A host's namespace routes between them,
//! so a test can separate a node from the others, but not from the host.

use std::fs;

use super::{
    mariadb::MariaDb,
    netns::{Etc, Namespace},
    program::wait_for,
};

/// Number of nodes: the fewest of which one can fail.
pub const NODES: usize = 3;

/// A cluster; ends with its owner.
pub struct Galera<'h> {
    // The servers end before their namespaces.
    nodes: Vec<MariaDb>,
    namespaces: Vec<(Namespace, Etc)>,
    host: &'h Namespace,
}

impl<'h> Galera<'h> {
    /// Starts the nodes one after the other; each copies its data from the first.
    pub fn start(host: &'h Namespace) -> Self {
        host.sysctl("ipv4/ip_forward", "1");
        host.nft(
            "table inet separated {\n chain nodes {\n type filter hook forward priority 0;\n }\n}",
        );
        let mut cluster = Self { nodes: Vec::new(), namespaces: Vec::new(), host };
        for node in 0..NODES {
            let namespace = connected(host, node);
            // rsync looks up the names of its peers, and waits for seconds without a name server.
            let etc = namespace.copy_etc("nsswitch.conf");
            fs::write(etc.path("nsswitch.conf"), "hosts: files\n").unwrap();
            let options = options(node, node == 0);
            let server = MariaDb::spawn_node(&namespace, &address(node), options, node == 0);
            cluster.namespaces.push((namespace, etc));
            server.wait_until_ready();
            cluster.nodes.push(server);
            cluster.wait_for_state(node, "Synced");
        }
        // Later it joins the others.
        *cluster.nodes[0].options() = options(0, false);
        cluster
    }

    /// A node.
    pub fn node(&self, node: usize) -> &MariaDb {
        &self.nodes[node]
    }

    /// The host and port of each node, as in a URL.
    pub fn hosts() -> Vec<String> {
        (0..NODES).map(|node| format!("{}:3306", address(node))).collect()
    }

    /// The authorities of all nodes, PEM.
    pub fn authorities(&self) -> String {
        let file = |node: &MariaDb| fs::read_to_string(node.directory().join("ca.pem"));
        self.nodes.iter().map(|node| file(node).unwrap()).collect()
    }

    /// Waits until a node reports this state.
    pub fn wait_for_state(&self, node: usize, state: &str) {
        wait_for(&format!("node {node} to be {state}"), || {
            (self.status(node, "wsrep_local_state_comment")? == state).then_some(())
        });
    }

    /// Waits until a node belongs to the component of the majority, or does not.
    pub fn wait_for_component(&self, node: usize, component: &str) {
        wait_for(&format!("node {node} to be {component}"), || {
            (self.status(node, "wsrep_cluster_status")? == component).then_some(())
        });
    }

    /// A status variable; `None` if the node does not respond.
    pub fn status(&self, node: usize, variable: &str) -> Option<String> {
        let sql = format!("SHOW GLOBAL STATUS LIKE '{variable}'");
        let answer = self.nodes[node].try_query("mysql", &sql)?;
        Some(answer.split_once('\t')?.1.to_owned())
    }

    /// Starts a node that was killed. It joins the others, and copies what it lacks.
    pub fn rejoin(&self, node: usize) {
        self.nodes[node].restart();
        self.wait_for_state(node, "Synced");
    }

    /// Separates a node from the others.
    pub fn separate(&self, node: usize) {
        self.host.nft(&format!(
            "add rule inet separated nodes iifname db{node} drop
             add rule inet separated nodes oifname db{node} drop"
        ));
    }

    /// Connects all nodes again.
    pub fn reunite(&self) {
        self.host.nft("flush chain inet separated nodes");
    }
}

/// The address of a node.
fn address(node: usize) -> String {
    format!("192.0.2.{}", 4 * node + 2)
}

/// A namespace with the address of a node, whose default route is the host.
fn connected(host: &Namespace, node: usize) -> Namespace {
    let namespace = Namespace::new(&format!("db{node}"));
    let gateway = format!("192.0.2.{}", 4 * node + 1);
    host.ip(&format!("link add db{node} type veth peer name eth0 netns {}", namespace.name()));
    host.ip(&format!("addr add {gateway}/30 dev db{node}"));
    host.ip(&format!("link set db{node} up"));
    namespace.ip(&format!("addr add {}/30 dev eth0", address(node)));
    namespace.ip("link set eth0 up");
    namespace.ip(&format!("route add default via {gateway}"));
    namespace
}

fn options(node: usize, is_first: bool) -> Vec<String> {
    let others: Vec<_> = (0..NODES).filter(|other| *other != node).map(address).collect();
    let peers = if is_first { String::new() } else { others.join(",") };
    [
        "--wsrep-on=ON".into(),
        "--wsrep-provider=/usr/lib/galera/libgalera_smm.so".into(),
        "--wsrep-cluster-name=test".into(),
        format!("--wsrep-cluster-address=gcomm://{peers}"),
        format!("--wsrep-node-name=node{node}"),
        format!("--wsrep-node-address={}", address(node)),
        "--wsrep-sst-method=rsync".into(),
        // The default times until a silent node is excluded: shorter ones would exclude one that waits for a processor.
        "--wsrep-provider-options=gcache.size=32M;pc.recovery=false".into(),
        "--binlog-format=ROW".into(),
        "--innodb-autoinc-lock-mode=2".into(),
    ]
    .into()
}
