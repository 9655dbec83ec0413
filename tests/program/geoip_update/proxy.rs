//! Updates through a proxy.

use super::{
    server::{NAME, Proxy},
    *,
};

/// A server that only the proxy can find.
fn behind_proxy(status: &'static str) -> (Server, Proxy, Host) {
    let packed = gzip(&country(NOVEMBER));
    let server = Server::start(move |_| Reply::ok(&packed));
    let proxy = Proxy::start(&server, status);
    let host = Host::new(&server, "");
    let directory = host.databases_in_directory();
    host.configure(&directory, &format!("https://{NAME}"), &server.ca_file(), "");
    (server, proxy, host)
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let (server, proxy, host) = behind_proxy("200 Connected");
    let address = proxy.address();
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let url = format!("http://me:p%40ss@{address}");
        host.update_with(&["--force"], &[(variable, &url)]).says("updated");
        let requests = proxy.requests();
        assert_eq!((requests.len(), &*requests[0].target), (1, &*format!("{NAME}:443")));
        // base64 of `me:p@ss`.
        let login = requests[0].header("proxy-authorization");
        assert_eq!(login.as_deref(), Some("Basic bWU6cEBzcw=="), "{variable}");
        assert_eq!(server.requests().len(), 1);
    }
    // Without a user, and without a scheme.
    host.update_with(&["--force"], &[("HTTPS_PROXY", &address.to_string())]).says("updated");
    assert_eq!(proxy.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn excluded_hosts_are_connected_directly() {
    let (server, proxy, host) = behind_proxy("200 Connected");
    let url = format!("http://{}", proxy.address());
    let directory = host.databases_in_directory();
    host.configure(&directory, &server.url(), &server.ca_file(), "");
    for (variable, hosts) in
        [("NO_PROXY", "example.net, localhost"), ("no_proxy", "*"), ("NO_PROXY", ".localhost")]
    {
        host.update_with(&["--force"], &[("HTTPS_PROXY", &url), (variable, hosts)]).says("updated");
        assert_eq!((proxy.requests().len(), server.requests().len()), (0, 1), "{hosts}");
    }
    host.update_with(&["--force"], &[("HTTPS_PROXY", &url), ("NO_PROXY", "example.net")])
        .says("updated");
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let (server, proxy, host) = behind_proxy("407 Proxy Authentication Required");
    let url = format!("http://me:secret@{}", proxy.address());
    let outcome = host.update_with(&[], &[("HTTPS_PROXY", &url)]);
    let message = format!("the proxy http://{}/ did not connect to {NAME}:443", proxy.address());
    outcome.fails(1, &message);
    outcome.fails(1, "407 Proxy Authentication Required; check HTTPS_PROXY");
    assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
    let outcome = host.update_with(&[], &[("HTTPS_PROXY", "socks5://localhost")]);
    outcome.fails(1, "socks5 is not supported");
    assert_eq!(server.requests().len(), 0);
}
