//! Who is let in: what a request has to pass before it gets to the routes.

use std::net::IpAddr;

use hyper::{
    Request, StatusCode, Version,
    header::{HOST, HeaderValue, WWW_AUTHENTICATE},
};

use super::{
    Refusal,
    receipt::Counter,
    routes::{self, Answer, text},
    serve::Server,
    web_config::{Verdict, WebConfig},
};

/// Answers a request, or turns it away with no more words than its status has. Also says whether it
/// was let in.
pub(super) async fn answer<B>(
    server: &Server,
    peer: IpAddr,
    counter: Counter,
    request: Request<B>,
) -> (Answer, bool) {
    let gate = server.site.guard.gate();
    let path = request.uri().path().to_owned();
    let refusal = refusal(&gate, &request, peer).await;
    let mut answer = match refusal {
        None => routes::answer(server, counter, request).await,
        Some(refusal) => {
            server.site.refusals.count(refusal);
            turn_away(refusal)
        }
    };
    for (name, value) in gate.headers(&path) {
        // What a page asks for itself, as the built-in page does, goes before.
        answer.headers_mut().entry(name).or_insert(value);
    }
    (answer, refusal.is_none())
}

async fn refusal<B>(gate: &WebConfig, request: &Request<B>, peer: IpAddr) -> Option<Refusal> {
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1
    {
        // RFC 9112, 3.2.
        return Some(Refusal::BadRequest);
    }
    if !gate.has_room() {
        return Some(Refusal::RateLimit);
    }
    match gate.look(request.headers(), peer).await {
        Verdict::Welcome => None,
        Verdict::Stranger => Some(Refusal::Password),
        Verdict::Busy => Some(Refusal::Busy),
    }
}

fn turn_away(refusal: Refusal) -> Answer {
    let status = match refusal {
        Refusal::Password => StatusCode::UNAUTHORIZED,
        Refusal::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut answer = text(status, status.canonical_reason().unwrap_or_default());
    if refusal == Refusal::Password {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    }
    answer
}
