//! The files of the built-in page over HTTP: compressed, and cached by browsers until they change.

use hyper::{
    StatusCode,
    body::Bytes,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
    },
};

use super::{
    compression::encode,
    negotiate,
    response::{HttpResponse, ResponseBody, content, set},
};
use crate::web::{
    PageInfo,
    assets::{self, ASSETS, HTML},
    paths,
};

/// The file at a path; `None` if there is none.
pub(super) fn respond(path: &str, info: &PageInfo, headers: &HeaderMap) -> Option<HttpResponse> {
    let is_compressed = negotiate::gzip(headers);
    let (content_type, body) = if path == paths::INDEX {
        (HTML, Bytes::from(encode(assets::index(info), is_compressed)))
    } else {
        let asset = ASSETS.iter().find(|asset| asset.path == path)?;
        let body =
            if is_compressed { Bytes::from_static(asset.gzip) } else { Bytes::from(asset.text()) };
        (asset.content_type, body)
    };
    // Identifies exactly these bytes.
    let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(&body), body.len());
    let is_cached = negotiate::has_tag(headers, &IF_NONE_MATCH, &tag);
    let mut response = if is_cached {
        let mut response = HttpResponse::new(ResponseBody::new(""));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = content(ResponseBody::new(body), content_type, is_compressed);
        set(&mut response, CONTENT_SECURITY_POLICY, assets::CONTENT_SECURITY_POLICY);
        response
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    // The browser keeps the file, and asks each time whether it has changed.
    set(&mut response, CACHE_CONTROL, "no-cache");
    set(&mut response, VARY, "Accept-Encoding");
    Some(response)
}
