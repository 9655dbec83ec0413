//! Responses and their headers.

use std::sync::Arc;

use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{
        ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{Client, MetricsPage, shared_metrics::SharedPage, slot_pool::Slot};

pub(super) type HttpResponse = Response<ResponseBody>;

/// Reports that a page of metrics was delivered. Dropped unreported if the connection breaks.
pub(super) struct DeliveryReport {
    pub(super) metrics: Arc<dyn MetricsPage>,
    pub(super) generation: u64,
    pub(super) client: Client,
}

/// A body, whole in memory.
pub(super) struct ResponseBody {
    pub(super) bytes: Bytes,
    /// In the pool of responses in memory, if it has one already.
    pub(super) slot: Option<Arc<Slot>>,
    /// Sent when the last byte is in the socket.
    pub(super) report: Option<DeliveryReport>,
}

impl ResponseBody {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), slot: None, report: None }
    }

    /// A page of metrics.
    pub(super) fn metrics(page: SharedPage, report: Option<DeliveryReport>) -> Self {
        Self { bytes: page.body, slot: Some(page.slot), report }
    }
}

/// A response of one line.
pub(super) fn text(status: StatusCode, line: &str) -> HttpResponse {
    let body = ResponseBody::new(format!("{line}\n"));
    let mut response = content(body, "text/plain; charset=utf-8", false);
    *response.status_mut() = status;
    response
}

/// A response with a body of a content type.
pub(super) fn content(
    body: ResponseBody,
    content_type: &'static str,
    is_compressed: bool,
) -> HttpResponse {
    let mut response = Response::new(body);
    set(&mut response, CONTENT_TYPE, content_type);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if is_compressed {
        set(&mut response, CONTENT_ENCODING, "gzip");
    }
    response
}

/// The response to a method that a path does not have.
pub(super) fn not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    set(&mut response, ALLOW, allowed);
    response
}

/// Sets a header.
pub(super) fn set(response: &mut HttpResponse, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
