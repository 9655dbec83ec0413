//! The routes: request to answer.

use std::{convert::Infallible, fmt::Display};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, ETAG, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{
    Refusal, Site,
    body::PageBody,
    negotiate, page,
    receipt::{Counter, Receipt},
    renders::{NoPage, encode, told},
    serve::Server,
};
use crate::{
    recent::Markers,
    web::{LatestPage, markers},
};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const XML: &str = "application/xml; charset=utf-8";
const GEOJSON: &str = "application/geo+json";
const RELOAD_IS_OFF: &str = "Reloading over HTTP is off. \
     Set enable_reload = true in section [web] of the configuration, or send SIGHUP.";

pub(super) type Answer = Response<PageBody>;

/// Answers a request. Its body is never read. A HEAD gets the head of the answer to a GET.
pub(super) async fn answer<B>(server: &Server, counter: Counter, request: Request<B>) -> Answer {
    let site = &*server.site;
    let path = request.uri().path();
    let get = *request.method() == Method::GET || *request.method() == Method::HEAD;
    // The operator's choice of a path goes before our own pages.
    let mut answer = if path == site.telemetry_path {
        if get { metrics(server, counter, &request).await } else { not_allowed("GET, HEAD") }
    } else {
        match path {
            "/-/reload" if *request.method() == Method::POST => reload(site).await,
            "/-/reload" => not_allowed("POST"),
            "/overview.json" | "/markers.xml" | "/markers.geojson" | "/-/healthy" | "/-/ready"
                if !get =>
            {
                not_allowed("GET, HEAD")
            }
            "/overview.json" => overview(server, &request).await,
            "/markers.xml" => markers(server, &request, XML, markers::xml).await,
            "/markers.geojson" => markers(server, &request, GEOJSON, markers::geojson).await,
            "/-/healthy" => verdict(site.health.healthy(), "healthy"),
            "/-/ready" => verdict(site.health.ready(), "ready"),
            path if page::has(path) && !get => not_allowed("GET, HEAD"),
            path => match page::file(path, site, request.headers()) {
                Some(file) => page_file(file),
                None => text(StatusCode::NOT_FOUND, "not found"),
            },
        }
    };
    if *request.method() == Method::HEAD {
        // A 304 has no body; a length there would be that of the file.
        if answer.status() != StatusCode::NOT_MODIFIED {
            let length = answer.body().len();
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        *answer.body_mut() = PageBody::new("");
    }
    answer
}

async fn metrics<B>(server: &Server, counter: Counter, request: &Request<B>) -> Answer {
    let format = negotiate::format(request.headers());
    let gzip = negotiate::gzip(request.headers());
    let client = negotiate::client(request.headers());
    let Some(page) = server.metrics.page((format, gzip)).await else { return broken() };
    let receipt = Receipt { metrics: page.metrics.clone(), generation: page.generation, client };
    let mut answer = Response::new(PageBody::shared(page, receipt, counter));
    set(&mut answer, CONTENT_TYPE, format.content_type());
    set(&mut answer, VARY, "Accept, Accept-Encoding");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if gzip {
        set(&mut answer, CONTENT_ENCODING, "gzip");
    }
    answer
}

/// The page's figures.
async fn overview<B>(server: &Server, request: &Request<B>) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let filter: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    fresh(server, request, JSON, move |latest| latest.overview(&filter)).await
}

/// The newest packets on a map, in the way of writing that `write` knows.
async fn markers<B>(
    server: &Server,
    request: &Request<B>,
    content_type: &'static str,
    write: fn(&Markers) -> String,
) -> Answer {
    let query = match markers::query(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(bad) => return text(StatusCode::BAD_REQUEST, &bad.to_string()),
    };
    let work = move |latest: &dyn LatestPage| Ok::<_, Infallible>(write(&latest.markers(&query)));
    fresh(server, request, content_type, work).await
}

/// What changes with every packet: nobody keeps it. A request that cannot be followed is told why.
async fn fresh<B, E: Display + Send + 'static>(
    server: &Server,
    request: &Request<B>,
    content_type: &'static str,
    work: impl FnOnce(&dyn LatestPage) -> Result<String, E> + Send + 'static,
) -> Answer {
    let gzip = negotiate::gzip(request.headers());
    let latest = server.site.latest.clone();
    let rendered = server.renders.render(move || work(&*latest).map(|page| encode(page, gzip)));
    let body = match rendered.await {
        Ok(Ok(body)) => body,
        Ok(Err(bad)) => return text(StatusCode::BAD_REQUEST, &bad.to_string()),
        Err(NoPage::Busy) => {
            server.site.refusals.count(Refusal::Busy);
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait; try again");
        }
        Err(NoPage::Closing) => return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        Err(NoPage::Broken(error)) => {
            told(&error);
            return broken();
        }
    };
    let mut answer = Response::new(PageBody::new(body));
    set(&mut answer, CONTENT_TYPE, content_type);
    set(&mut answer, VARY, "Accept-Encoding");
    set(&mut answer, CACHE_CONTROL, "no-store");
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if gzip {
        set(&mut answer, CONTENT_ENCODING, "gzip");
    }
    answer
}

fn broken() -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, "rendering the page failed; the log says why")
}

/// Passes the request on and waits for its outcome; one that comes while another waits is refused.
async fn reload(site: &Site) -> Answer {
    if !site.enable_reload {
        return text(StatusCode::FORBIDDEN, RELOAD_IS_OFF);
    }
    let (reply, outcome) = oneshot::channel();
    match site.reload.try_send(reply) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return text(StatusCode::SERVICE_UNAVAILABLE, "another reload is under way");
        }
        Err(TrySendError::Closed(_)) => {
            return text(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
        }
    }
    match outcome.await {
        Ok(Ok(())) => text(StatusCode::OK, "reloaded"),
        Ok(Err(reason)) => text(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
    }
}

/// A file of the page: kept by the browser, which asks each time whether it is still the same.
fn page_file(file: page::File) -> Answer {
    let known = file.body.is_none();
    let mut answer = Response::new(PageBody::new(file.body.unwrap_or_default()));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    set(&mut answer, CACHE_CONTROL, "no-cache");
    set(&mut answer, VARY, "Accept-Encoding");
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    set(&mut answer, CONTENT_TYPE, file.content_type);
    set(&mut answer, CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY);
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if file.gzip {
        set(&mut answer, CONTENT_ENCODING, "gzip");
    }
    answer
}

fn verdict(state: Result<(), String>, good: &str) -> Answer {
    match state {
        Ok(()) => text(StatusCode::OK, good),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    set(&mut answer, ALLOW, allowed);
    answer
}

/// A short answer of one line.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    let mut answer = Response::new(PageBody::new(format!("{line}\n")));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, TEXT);
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
