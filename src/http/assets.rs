//! The files of the built-in page over HTTP: compressed, and cached by browsers until they change.

use std::sync::LazyLock;

use flate2::Compression;
use hyper::{
    StatusCode,
    body::Bytes,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
    },
};

use super::{
    compression::{encode, gzip},
    negotiate,
    response::{HttpResponse, ResponseBody, content, set},
};
use crate::web::{
    PageInfo,
    assets::{self, ASSETS, HTML},
    paths,
};

/// [`ASSETS`], compressed once with the best level.
static COMPRESSED: LazyLock<[Vec<u8>; ASSETS.len()]> =
    LazyLock::new(|| ASSETS.map(|asset| gzip(asset.text, Compression::best())));

/// The file at a path; `None` if there is none.
pub(super) fn respond(path: &str, info: &PageInfo, headers: &HeaderMap) -> Option<HttpResponse> {
    let is_compressed = negotiate::gzip(headers);
    let (content_type, body) = if path == paths::INDEX {
        (HTML, Bytes::from(encode(assets::index(info), is_compressed)))
    } else {
        let index = ASSETS.iter().position(|asset| asset.path == path)?;
        let asset = ASSETS[index];
        let body = if is_compressed { &COMPRESSED[index] } else { asset.text.as_bytes() };
        (asset.content_type, Bytes::from_static(body))
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
