//! The checks that a request passes before it is routed: its Host header, the rate limit and the password.

use std::net::IpAddr;

use hyper::{
    Request, StatusCode, Version,
    header::{HOST, HeaderValue, WWW_AUTHENTICATE},
};

use super::{
    Rejection,
    response::{HttpResponse, text},
    routes,
    server::Server,
    web_config::{AuthOutcome, WebConfig},
};

/// Responds to a request, or rejects it without an explanation. Also returns whether it was accepted.
pub(super) async fn respond<B>(
    server: &Server,
    peer: IpAddr,
    request: Request<B>,
) -> (HttpResponse, bool) {
    let web_config = server.site.web_config.current();
    let path = request.uri().path().to_owned();
    let rejection = check(&web_config, &request, peer).await;
    let mut response = match rejection {
        None => routes::respond(server, peer, request).await,
        Some(rejection) => {
            server.site.rejections.count(rejection);
            reject(rejection)
        }
    };
    for (name, value) in web_config.headers(&path) {
        // Headers that a resource sets itself, as the built-in page does, have precedence.
        response.headers_mut().entry(name).or_insert(value);
    }
    (response, rejection.is_none())
}

async fn check<B>(web_config: &WebConfig, request: &Request<B>, peer: IpAddr) -> Option<Rejection> {
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1
    {
        // RFC 9112, 3.2.
        return Some(Rejection::BadRequest);
    }
    if !web_config.is_within_rate_limit() {
        return Some(Rejection::RateLimit);
    }
    match web_config.authenticate(request.headers(), peer).await {
        AuthOutcome::Accepted => None,
        AuthOutcome::Rejected => Some(Rejection::Password),
        AuthOutcome::Busy => Some(Rejection::Busy),
    }
}

fn reject(rejection: Rejection) -> HttpResponse {
    let status = match rejection {
        Rejection::Password => StatusCode::UNAUTHORIZED,
        Rejection::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        Rejection::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = text(status, status.canonical_reason().unwrap_or_default());
    if rejection == Rejection::Password {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    }
    response
}
