//! The landing page: what this is, and where the metrics are.

use super::Site;

/// What the page may load: nothing; and nobody may frame it.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, HTML.
pub(super) fn page(site: &Site) -> String {
    let version = escape(site.version);
    let metrics = escape(&site.telemetry_path);
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>nflog_exporter</title>\n\
         </head>\n\
         <body>\n\
         <h1>nflog_exporter</h1>\n\
         <p>Version {version}</p>\n\
         <ul>\n\
         <li><a href=\"{metrics}\">Metrics</a></li>\n\
         <li><a href=\"/-/healthy\">Healthy</a></li>\n\
         <li><a href=\"/-/ready\">Ready</a></li>\n\
         </ul>\n\
         <p><a href=\"https://db-ip.com\">IP Geolocation by DB-IP</a></p>\n\
         </body>\n\
         </html>\n"
    )
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
