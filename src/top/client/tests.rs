use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

const OVERVIEW: &str =
    r#"{"window":{"seconds":600,"slices":60,"running":4},"received":7,"timeline":[]}"#;

/// A server that responds to each request with the same bytes, and keeps its requests.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(response: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let server = Self { url, connections, requests };
        let (connections, requests) =
            (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let (response, requests) = (response.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        request.extend(&bytes[..length]);
                        if request.ends_with(b"\r\n\r\n") {
                            requests
                                .lock()
                                .unwrap()
                                .push(String::from_utf8(std::mem::take(&mut request)).unwrap());
                            if stream.write_all(&response).await.is_err() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    async fn with(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        Self::start(text.into_bytes()).await
    }

    fn client(&self) -> ExporterClient {
        ExporterClient::new(&self.url, Access::default()).unwrap()
    }

    async fn error(&self) -> String {
        let error = self.client().figures("").await.unwrap_err().to_string();
        error.replace(&self.url, "URL").replace(&self.url["http://".len()..], "PEER")
    }
}

#[tokio::test]
async fn requests_have_the_query_and_share_a_connection() {
    let server = Server::with("200 OK", "", OVERVIEW).await;
    let mut client = server.client();
    for query in ["", "port=22&range=1h", ""] {
        assert_eq!(client.figures(query).await.unwrap().received, 7);
    }
    let requests = server.requests.lock().unwrap();
    assert!(requests[0].starts_with("GET /overview.json HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[1].starts_with("GET /overview.json?port=22&range=1h HTTP/1.1\r\n"));
    assert!(!requests[0].to_ascii_lowercase().contains("authorization"));
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

/// Each request succeeds, over a new connection.
#[tokio::test]
async fn a_server_can_close_connections() {
    let text = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{OVERVIEW}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    let mut client = ExporterClient::new(&url, Access::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.figures("").await.unwrap().received, 7);
    }
}

#[tokio::test]
async fn errors_say_what_failed() {
    for (status, headers, body, expect) in [
        (
            "401 Unauthorized",
            "",
            "",
            "URL/overview.json rejects requests without a user and a password (status 401)",
        ),
        (
            "404 Not Found",
            "",
            "x",
            "URL/overview.json does not exist (status 404): the server is not nflog_exporter",
        ),
        (
            "302 Found",
            "Location: https://other/\r\n",
            "",
            "to \"https://other/\" (status 302): use the URL of",
        ),
        (
            "503 Service Unavailable",
            "",
            "too busy\nx",
            "URL/overview.json responded with status 503: too busy",
        ),
        ("502 Bad Gateway", "", "<html>", "URL/overview.json responded with status 502"),
        ("200 OK", "", "<html>", "is not an overview of nflog_exporter: expected value at line 1"),
        ("200 OK", "", "{}", "is not an overview of nflog_exporter: missing field"),
    ] {
        let error = Server::with(status, headers, body).await.error().await;
        assert!(error.contains(expect), "{error}");
    }
    let error = Server::start(b"SSH-2.0-OpenSSH\r\n".to_vec()).await.error().await;
    assert!(error.starts_with("PEER did not respond as an HTTP server: "), "{error}");
    assert!(error.ends_with("; for an exporter with TLS, use https://"), "{error}");
    let error = Server::with("200 OK", "", "").await.error().await;
    assert!(error.contains("is not an overview"), "{error}");
    let long = OVERVIEW.replace('7', &format!("\"\u{202e}{}\"", "x".repeat(1_000_000)));
    let error = Server::with("200 OK", "", &long).await.error().await;
    assert!(error.contains("string \"") && error.len() < 2_000, "{} bytes", error.len());
}

#[tokio::test]
async fn no_listener_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut client = ExporterClient::new(&url, Access::default()).unwrap();
    let error = client.figures("").await.unwrap_err();
    assert!(matches!(error, FiguresError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn large_responses_are_not_read_to_their_ends() {
    for length in
        ["Content-Length: 99999999999\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"]
    {
        let mut response = format!("HTTP/1.1 200 OK\r\n{length}").into_bytes();
        response.resize(MAX_RESPONSE + 100_000, b' ');
        let error = Server::start(response).await.error().await;
        assert_eq!(error, "the response of URL/overview.json has more than 8 MiB");
    }
}

/// The time passes at once, because all tasks wait.
#[tokio::test(start_paused = true)]
async fn silent_servers_are_an_error() {
    for response in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"] {
        let error = Server::start(response.to_vec()).await.error().await;
        assert_eq!(error, "URL/overview.json did not respond within 8 s");
    }
}

#[test]
fn addresses_are_those_of_pages() {
    for (url, name, overview) in [
        ("http://host", "http://host/", "http://host/overview.json"),
        ("http://host:1/", "http://host:1/", "http://host:1/overview.json"),
        ("http://[::1]:1/a/?b#c", "http://[::1]:1/a/", "http://[::1]:1/a/overview.json"),
        ("https://u:p@host/a", "https://host/a/", "https://host/a/overview.json"),
    ] {
        let access = Access { is_insecure: true, ..Access::default() };
        let client = ExporterClient::new(url, access).unwrap();
        assert_eq!((client.name().as_str(), client.url.as_str()), (name, overview));
    }
    for url in ["ftp://u:secret@host", "http://", "http://u:secret@ho st", "unix:///run/x"] {
        let error = ExporterClient::new(url, Access::default()).err().unwrap().to_string();
        assert!(error.starts_with("invalid URL") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_password_is_that_of_the_file_or_of_the_url() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "from file\n").unwrap();
    let login = |url: &str, file: Option<&Path>| {
        let header = authorization(&Url::parse(url).unwrap(), file);
        let header = header.map_err(|error| error.to_string())?;
        Ok(header.map(|header| {
            assert_eq!(format!("{header:?}"), "Sensitive");
            let login = header.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
            String::from_utf8(BASE64_STANDARD.decode(login).unwrap()).unwrap()
        }))
    };
    let check = |url, file, expect: Result<Option<&str>, &str>| match (login(url, file), expect) {
        (Ok(login), Ok(expect)) => assert_eq!(login.as_deref(), expect),
        (Err::<_, String>(error), Err(expect)) => assert!(error.contains(expect), "{error}"),
        (found, expect) => panic!("{found:?}, expected {expect:?}"),
    };
    check("http://host", None, Ok(None));
    check("http://us%40er:p%3Aw@host", None, Ok(Some("us@er:p:w")));
    check("http://user@host", Some(&file), Ok(Some("user:from file")));
    check("http://user:other@host", Some(&file), Ok(Some("user:from file")));
    check("http://host", Some(&file), Err("no user"));
    check("http://user@host", None, Err(PASSWORD_VARIABLE));
    std::fs::write(&file, "\n").unwrap();
    check("http://user@host", Some(&file), Err("has no password"));
    check("http://user@host", Some(Path::new("/nowhere")), Err("cannot read /nowhere"));
}
