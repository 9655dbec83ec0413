//! The routes.

use super::*;
use crate::web::{DrilldownResource, assets::ASSETS};

#[test]
fn paths_and_methods() {
    let served = Served::new(Options::default());
    let check = |method: &str, path: &str, status: u16, body: &str| {
        let reply = served.ask(method, path, "");
        assert_eq!((reply.status, reply.text()), (status, body), "{method} {path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"));
        reply
    };
    check("GET", "/metrics", 200, "Plain nflog_packets_total 1");
    check("GET", "/metrics?x=1", 200, "Plain nflog_packets_total 1");
    check("GET", "/-/healthy", 200, "healthy\n");
    check("GET", "/-/ready", 200, "ready\n");
    for path in
        ["/metrics/", "/metric", "/-/", "/page/", "/page/x.js", "/../etc/passwd", "/%2e", "*"]
    {
        check("GET", path, 404, "not found\n");
    }
    for path in ["/metrics", "/", "/overview.json", "/-/healthy", "/-/ready"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let reply = check(method, path, 405, "method not allowed\n");
            assert_eq!(reply.header("allow"), Some("GET, HEAD"));
        }
    }
    let reply = check("GET", "/-/reload", 405, "method not allowed\n");
    assert_eq!(reply.header("allow"), Some("POST"));
}

#[test]
fn every_listed_path_is_served() {
    let served = Served::new(Options::default());
    let modules = ASSETS.iter().map(|asset| asset.path);
    for path in crate::web::paths::FIXED.into_iter().chain(modules) {
        let expect = match path {
            "/-/reload" => 405,
            // Without a database.
            path if DrilldownResource::at(path).is_some() => 403,
            _ => 200,
        };
        assert_eq!(served.get(path).status, expect, "{path}");
    }
}

#[test]
fn a_head_is_the_head_of_the_get() {
    let served = Served::new(Options::default());
    for path in ["/metrics", "/", "/overview.json", "/-/healthy", "/-/ready", "/nothing"] {
        // On one connection, a body of a HEAD would be read as the next head.
        let mut stream = served.connect();
        let head = exchange(&mut stream, "HEAD", path, "");
        let get = exchange(&mut stream, "GET", path, "");
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-length", "content-type", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
}

#[test]
fn metrics_have_the_format_and_encoding_of_the_client() {
    let text = "nflog_packets_total{port=\"22\"} 1\n".repeat(5000);
    let served = Served::new(Options { text: text.clone(), ..Options::default() });
    let check = |headers: &str, format: Format, gzip: bool| {
        let reply = served.ask("GET", "/metrics", headers);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some(format.content_type()), "{headers}");
        assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding"));
        assert_eq!(reply.header("content-encoding"), gzip.then_some("gzip"), "{headers}");
        let mut body = String::new();
        if gzip {
            assert!(reply.body.len() < text.len() / 10);
            flate2::read::GzDecoder::new(&*reply.body).read_to_string(&mut body).unwrap();
        } else {
            body.push_str(reply.text());
        }
        assert_eq!(body, format!("{format:?} {text}"));
    };
    let open = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";
    check("", Format::Plain, false);
    check(open, Format::OpenMetrics, false);
    check("Accept-Encoding: gzip\r\n", Format::Plain, true);
    check(&format!("{open}Accept-Encoding: gzip\r\n"), Format::OpenMetrics, true);
}

#[test]
fn browsers_keep_the_files_of_the_page_until_they_change() {
    let served = Served::new(Options::default());
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/world.svg", "image/svg+xml"),
    ] {
        let plain = served.get(path);
        let packed = served.ask("GET", path, "Accept-Encoding: gzip\r\n");
        for reply in [&plain, &packed] {
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.header("content-type"), Some(content_type));
            assert_eq!(reply.header("cache-control"), Some("no-cache"));
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        }
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain.body && packed.body.len() < 50_000, "{path}");

        let (tag, other) = (plain.header("etag").unwrap(), packed.header("etag").unwrap());
        assert_ne!(tag, other, "the bytes differ");
        for (known, status) in [
            (tag, 304),
            (&*format!("\"x\", W/{tag}"), 304),
            ("*", 304),
            ("\"x\"", 200),
            (other, 200),
        ] {
            for method in ["GET", "HEAD"] {
                let mut stream = served.connect();
                let headers = format!("If-None-Match: {known}\r\n");
                send(&mut stream, method, path, &headers);
                let reply = receive(&mut stream, method == "GET" && status == 200);
                assert_eq!((reply.status, reply.header("etag")), (status, Some(tag)), "{known}");
                // No body follows, which would be read as the next head.
                assert_eq!(exchange(&mut stream, "GET", "/-/ready", "").text(), "ready\n");
            }
        }
        assert_eq!(served.ask("POST", path, "").status, 405);
    }
}

#[test]
fn the_path_of_the_metrics_has_precedence() {
    let served = Served::new(Options { telemetry_path: "/", ..Options::default() });
    assert_eq!(served.get("/").text(), "Plain nflog_packets_total 1");
    assert_eq!(served.get("/metrics").status, 404);
}

#[test]
fn health_and_readiness_have_a_reason() {
    let served = Served::new(Options::default());
    let check = |path: &str, status: u16, body: &str| {
        let reply = served.get(path);
        assert_eq!((reply.status, reply.text()), (status, body));
    };
    let latch = served.health.latch("NFLOG group 1");
    check("/-/ready", 503, "waiting for NFLOG group 1\n");
    check("/-/healthy", 200, "healthy\n");
    latch.release();
    check("/-/ready", 200, "ready\n");
    served.health.fail("NFLOG group 1: the socket is gone");
    check("/-/ready", 503, "NFLOG group 1: the socket is gone\n");
    check("/-/healthy", 503, "NFLOG group 1: the socket is gone\n");
    check("/metrics", 200, "Plain nflog_packets_total 1");
}

#[test]
fn reloading_is_disabled_by_default() {
    let mut served = Served::new(Options::default());
    let reply = served.ask("POST", "/-/reload", "");
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("enable_reload = true"), "{}", reply.text());
    assert!(served.reloads.try_recv().is_err(), "a reload was requested");
}

#[test]
fn a_reload_responds_with_its_outcome() {
    let mut served = Served::new(Options { enable_reload: true, ..Options::default() });
    let mut check = |outcome: Option<Result<(), String>>, status: u16, body: &str| {
        let mut stream = served.connect();
        send(&mut stream, "POST", "/-/reload", "Content-Length: 0\r\n");
        let reply = served.reloads.blocking_recv().unwrap();
        if let Some(outcome) = outcome {
            reply.send(outcome).unwrap();
        } else {
            drop(reply);
        }
        let reply = receive(&mut stream, true);
        assert_eq!((reply.status, reply.text()), (status, body));
    };
    check(Some(Ok(())), 200, "reloaded\n");
    check(Some(Err("line 3: no such family".into())), 500, "line 3: no such family\n");
    check(None, 503, "shutting down\n");

    // One request waits in the queue, so the next is rejected.
    let mut first = served.connect();
    send(&mut first, "POST", "/-/reload", "");
    until("one request waits", || served.reloads.len() == 1);
    assert_eq!(served.ask("POST", "/-/reload", "").status, 503);
    served.reloads.blocking_recv().unwrap().send(Ok(())).unwrap();
    assert_eq!(receive(&mut first, true).status, 200);
    served.reloads.close();
    assert_eq!(served.ask("POST", "/-/reload", "").status, 503);
}

#[test]
fn a_panic_affects_only_its_own_response() {
    let served = Served::new(Options { text: "panic".into(), ..Options::default() });
    // More than the maximum at a time: a panic frees its permit.
    for _ in 0..10 {
        assert_eq!(served.get("/metrics").status, 500);
    }
    assert_eq!(served.get("/-/healthy").status, 200);
    assert!(served.content.delivered().is_empty());
}

#[test]
fn headers_of_a_page_have_precedence_over_the_web_configuration() {
    let policy = "Content-Security-Policy: default-src *, X-Frame-Options: deny";
    let content = format!("http_server_config: {{headers: {{{policy}}}}}");
    let served =
        Served::new(Options { web_config: web_config(&content, "", ""), ..Options::default() });
    let (page, metrics) = (served.get("/"), served.get("/metrics"));
    let own = crate::web::assets::CONTENT_SECURITY_POLICY;
    assert_eq!(page.header("content-security-policy"), Some(own));
    assert_eq!(metrics.header("content-security-policy"), Some("default-src *"));
    for reply in [page, metrics] {
        assert_eq!(reply.header("x-frame-options"), Some("deny"));
    }
}
