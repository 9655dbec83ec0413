//! The routes: from a request to a response.

use std::net::IpAddr;

use hyper::{
    Method, Request, StatusCode,
    header::{CACHE_CONTROL, HeaderMap, VARY},
};
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{
    Rejection, Site, assets,
    compression::encode,
    drilldown, negotiate,
    render_queue::RenderError,
    response::{DeliveryReport, HttpResponse, ResponseBody, content, not_allowed, set, text},
    server::ServerState,
};
use crate::web::{DrilldownResource, LiveResource, paths};

const RELOAD_IS_OFF: &str = "Reloading over HTTP is off. \
     Set enable_reload = true in section [web] of the configuration, or send SIGHUP.";

/// Responds to a request, whose body is not read, from a client that may not read rows for the reason `refusal`. hyper sends only the head of the response to a HEAD.
pub(super) async fn respond<B>(
    server: &ServerState,
    (peer, refusal): (IpAddr, Option<&'static str>),
    request: &Request<B>,
) -> HttpResponse {
    let site = &*server.site;
    let headers = request.headers();
    let path = request.uri().path();
    let is_metrics = path == site.page.telemetry_path;
    match path {
        paths::RELOAD if *request.method() == Method::POST => reload(site).await,
        paths::RELOAD => not_allowed("POST"),
        path if !is_metrics && !paths::is_served(path) => not_found(),
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => not_allowed("GET, HEAD"),
        _ if is_metrics => metrics(server, peer, request).await,
        paths::HEALTHY => state(site.health.healthy(), "healthy"),
        paths::READY => state(site.health.ready(), "ready"),
        path => {
            let query = request.uri().query();
            if let Some(resource) = DrilldownResource::at(path) {
                return drilldown::respond(server, resource, query, headers, refusal).await;
            }
            match LiveResource::at(path) {
                Some(resource) => live(server, resource, query, (headers, refusal)).await,
                None => assets::respond(path, &site.page, headers).unwrap_or_else(not_found),
            }
        }
    }
}

async fn metrics<B>(server: &ServerState, peer: IpAddr, request: &Request<B>) -> HttpResponse {
    let headers = request.headers();
    let format = negotiate::format(headers);
    let compress = negotiate::gzip(headers);
    let client = negotiate::client(headers, peer);
    let Some(page) = server.metrics.page((format, compress)).await else { return failed() };
    let report =
        DeliveryReport { metrics: page.metrics.clone(), generation: page.generation, client };
    let body = ResponseBody::metrics(page, (request.method() == Method::GET).then_some(report));
    let mut response = content(body, format.content_type(), compress);
    set(&mut response, VARY, "Accept, Accept-Encoding");
    response
}

/// A resource that changes with each packet, so that no cache keeps it.
async fn live(
    server: &ServerState,
    resource: LiveResource,
    query: Option<&str>,
    (headers, refusal): (&HeaderMap, Option<&'static str>),
) -> HttpResponse {
    let compress = negotiate::gzip(headers);
    let query = query.unwrap_or_default().to_owned();
    let render = server.site.live.clone();
    let rendered = server
        .renders
        .render(move || render(resource, &query, refusal).map(|body| encode(body, compress)));
    let body = match rendered.await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(RenderError::Busy) => {
            server.site.rejections.count(Rejection::Busy);
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many requests; try again later");
        }
        Err(RenderError::Panicked) => return failed(),
    };
    let mut response = content(ResponseBody::new(body), resource.content_type(), compress);
    set(&mut response, VARY, "Accept-Encoding");
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// Requests a reload and waits for its outcome. Rejected while too many reloads are queued.
async fn reload(site: &Site) -> HttpResponse {
    if !site.enable_reload {
        return text(StatusCode::FORBIDDEN, RELOAD_IS_OFF);
    }
    let shutting_down = || text(StatusCode::SERVICE_UNAVAILABLE, "shutting down");
    let (reply, outcome) = oneshot::channel();
    match site.reload.try_send(reply) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            return text(StatusCode::SERVICE_UNAVAILABLE, "another reload is running");
        }
        Err(TrySendError::Closed(_)) => return shutting_down(),
    }
    match outcome.await {
        Ok(Ok(())) => text(StatusCode::OK, "reloaded"),
        Ok(Err(reason)) => text(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        Err(_) => shutting_down(),
    }
}

fn state(state: Result<(), String>, good: &str) -> HttpResponse {
    match state {
        Ok(()) => text(StatusCode::OK, good),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "not found")
}

fn failed() -> HttpResponse {
    text(StatusCode::INTERNAL_SERVER_ERROR, "rendering the response failed; see the log")
}
