//! The checks that a request passes before it is routed: its Host header, the rate limit and the password.

use hyper::{
    Request, StatusCode, Version,
    header::{HOST, HeaderValue, WWW_AUTHENTICATE},
};

use super::{
    Rejection,
    access::{Peer, refusal},
    response::{HttpResponse, text},
    routes,
    server::ServerState,
    web_config::WebConfig,
};

/// Responds to a request, or rejects it without an explanation. Also returns whether it was accepted.
pub(super) async fn respond<B>(
    server: &ServerState,
    peer: Peer,
    request: Request<B>,
) -> (HttpResponse, bool) {
    let web_config = server.site.web_config.current();
    let checked = check(&web_config, &request, peer.address).await;
    let mut response = match checked {
        Ok(()) => {
            // By the same configuration as the check.
            let refusal = refusal(peer, web_config.has_users(), &request);
            routes::respond(server, (peer.address, refusal), &request).await
        }
        Err(rejection) => {
            server.site.rejections.count(rejection);
            reject(rejection)
        }
    };
    for (name, value) in web_config.headers(request.uri().path()) {
        // Headers that a resource sets itself, as the built-in page does, have precedence.
        response.headers_mut().entry(name).or_insert(value);
    }
    (response, checked.is_ok())
}

async fn check<B>(
    web_config: &WebConfig,
    request: &Request<B>,
    peer: std::net::IpAddr,
) -> Result<(), Rejection> {
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1
    {
        // RFC 9112, 3.2.
        return Err(Rejection::BadRequest);
    }
    if !web_config.is_within_rate_limit() {
        return Err(Rejection::RateLimit);
    }
    web_config.authenticate(request.headers(), peer).await
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
