//! The built-in page: its files, which are part of the program, and how browsers may keep them.

use std::sync::LazyLock;

use flate2::Compression;
use hyper::{
    body::Bytes,
    header::{HeaderMap, IF_NONE_MATCH},
};

use super::{Site, gzip::compress, negotiate};

/// What the page may load: its own files, and the empty icon; and nobody may frame it.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("../web/page/index.html");

/// The files that are the same for everybody: path, content type, text.
const FILES: [(&str, &str, &str); 3] = [
    ("/page.css", "text/css; charset=utf-8", include_str!("../web/page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../web/page/page.js")),
    ("/world.svg", "image/svg+xml", include_str!("../web/page/world.svg")),
];

/// [`FILES`] compressed: once, and well, because they stay the same.
static COMPRESSED: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| FILES.map(|(_, _, text)| compress(text, Compression::best())));

/// A file as it goes out.
pub(super) struct File {
    pub(super) content_type: &'static str,
    /// Names exactly these bytes, in quotes.
    pub(super) tag: String,
    pub(super) gzip: bool,
    /// `None`: the client has it already.
    pub(super) body: Option<Bytes>,
}

/// Whether the page has a file of this path.
pub(super) fn has(path: &str) -> bool {
    path == "/" || FILES.iter().any(|file| file.0 == path)
}

/// The file of a path, as this client wants it; `None` when there is none.
pub(super) fn file(path: &str, site: &Site, headers: &HeaderMap) -> Option<File> {
    let gzip = negotiate::gzip(headers);
    let (content_type, body) = if path == "/" {
        let index = index(site);
        let body = if gzip { compress(&index, Compression::fast()) } else { index.into_bytes() };
        ("text/html; charset=utf-8", Bytes::from(body))
    } else {
        let at = FILES.iter().position(|file| file.0 == path)?;
        let body = if gzip { COMPRESSED[at].as_slice() } else { FILES[at].2.as_bytes() };
        (FILES[at].1, Bytes::from_static(body))
    };
    let tag = format!("\"{:08x}-{:x}\"", crc32fast::hash(&body), body.len());
    let body = (!negotiate::has(headers, &IF_NONE_MATCH, &tag)).then_some(body);
    Some(File { content_type, tag, gzip, body })
}

/// The page itself. Its links are relative, so that it works behind a proxy's path, too.
fn index(site: &Site) -> String {
    // Without the dot, a path such as `/a:b` would become a scheme.
    let metrics = format!(".{}", site.telemetry_path);
    INDEX.replace("{version}", &escape(site.version)).replace("{telemetry_path}", &escape(&metrics))
}

/// Text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
