//! The drill-down over HTTP: permission, a limit on queries at a time, and their end when the client disconnects.

use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderMap, RETRY_AFTER, VARY},
};
use tokio_util::sync::CancellationToken;

use super::{
    Rejection,
    compression::encode,
    negotiate,
    render_queue::run_blocking,
    response::{HttpResponse, ResponseBody, content, set, text},
    server::ServerState,
};
use crate::web::{DrilldownFailure, DrilldownResource};

/// Responds with rows of the mirror's database. `refusal` is why the client may not read them.
pub(super) async fn respond(
    server: &ServerState,
    resource: DrilldownResource,
    query: Option<&str>,
    headers: &HeaderMap,
    refusal: Option<&'static str>,
) -> HttpResponse {
    let pages = server.site.drilldown.clone();
    let mut response = match pages.why_off().or(refusal) {
        Some(reason) => text(StatusCode::FORBIDDEN, reason),
        None => match server.drilldowns.clone().try_acquire_owned() {
            Err(_) => {
                server.site.rejections.count(Rejection::Busy);
                let mut response = text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "other queries are running; try again later",
                );
                set(&mut response, RETRY_AFTER, "2");
                response
            }
            Ok(permit) => {
                let query = query.unwrap_or_default().to_owned();
                let compress = negotiate::gzip(headers);
                let cancelled = CancellationToken::new();
                // If the client disconnects, this future is dropped.
                let _cancel = cancelled.clone().drop_guard();
                let body = run_blocking(move || {
                    let _permit = permit;
                    pages.render(resource, &query, cancelled).map(|body| encode(body, compress))
                });
                answer(resource, body.await, compress)
            }
        },
    };
    set(&mut response, VARY, "Accept-Encoding");
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn answer(
    resource: DrilldownResource,
    body: Option<Result<Vec<u8>, DrilldownFailure>>,
    is_compressed: bool,
) -> HttpResponse {
    let error = match body {
        Some(Ok(body)) => {
            let mut response =
                content(ResponseBody::new(body), resource.content_type(), is_compressed);
            if let Some(disposition) = resource.disposition() {
                set(&mut response, CONTENT_DISPOSITION, disposition);
            }
            return response;
        }
        Some(Err(error)) => error,
        None => {
            let reason = "the query failed; see the log";
            return text(StatusCode::INTERNAL_SERVER_ERROR, reason);
        }
    };
    let status = match error {
        DrilldownFailure::Query(_) => StatusCode::BAD_REQUEST,
        DrilldownFailure::Off(_) => StatusCode::FORBIDDEN,
        DrilldownFailure::TimeLimit(_) => StatusCode::GATEWAY_TIMEOUT,
        DrilldownFailure::Database(_) => StatusCode::BAD_GATEWAY,
    };
    text(status, &error.to_string())
}
