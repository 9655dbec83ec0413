//! The files of the page, which are part of the binary.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::paths;

/// What browsers let the page load: its own files, and an empty icon. No other site may frame it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Content type of the page itself.
pub const HTML: &str = "text/html; charset=utf-8";

const INDEX: &str = include_str!("page/index.html");

/// A file with constant text.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Where it is served.
    pub path: &'static str,
    /// Value of the header `Content-Type`.
    pub content_type: &'static str,
    /// Its text, compressed by `build.rs` as gzip.
    pub gzip: &'static [u8],
}

impl Asset {
    /// Its text.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = String::new();
        // The text was compressed when the program was built, so this cannot fail.
        let _ = GzDecoder::new(self.gzip).read_to_string(&mut text);
        text
    }
}

/// The compressed text of a file.
macro_rules! compressed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))
    };
}

/// A module of the script, in the same directory here and on the server.
macro_rules! module {
    ($name:literal) => {
        Asset {
            path: concat!("/page/", $name),
            content_type: "text/javascript; charset=utf-8",
            gzip: compressed!($name),
        }
    };
}

/// The style of the page.
pub const STYLE: Asset = Asset {
    path: paths::STYLE,
    content_type: "text/css; charset=utf-8",
    gzip: compressed!("page.css"),
};

/// The map: an SVG with a shape for each country, whose `data-code` is the code of the country.
pub const WORLD_MAP: Asset =
    Asset { path: paths::MAP, content_type: "image/svg+xml", gzip: compressed!("world.svg") };

/// All files except the page itself.
pub const ASSETS: [Asset; 26] = [
    STYLE,
    WORLD_MAP,
    module!("cities.js"),
    module!("clusters.js"),
    module!("conditions.js"),
    module!("controls.js"),
    module!("databases.js"),
    module!("drilldown.js"),
    module!("drilldown_columns.js"),
    module!("elements.js"),
    module!("figures.js"),
    module!("gestures.js"),
    module!("labels.js"),
    module!("map.js"),
    module!("page.js"),
    module!("panels.js"),
    module!("projection.js"),
    module!("rates.js"),
    module!("roving.js"),
    module!("tables.js"),
    module!("text.js"),
    module!("theme.js"),
    module!("timeline.js"),
    module!("tooltip.js"),
    module!("view.js"),
    module!("viewport.js"),
];

/// The values that the page shows of the running exporter.
#[derive(Clone, Debug)]
pub struct PageInfo {
    /// Path of the metrics, with its leading slash.
    pub telemetry_path: String,
    /// Version of the exporter.
    pub version: &'static str,
    /// The configured sources.
    pub sources: PageSources,
}

/// The sources that a page without packets explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSources {
    /// Whether NFLOG groups are read.
    pub groups: bool,
    /// Whether lines of the kernel log are read.
    pub lines: bool,
}

const OF_GROUPS: &str = r#"<p>The exporter shows the packets of firewall rules that log to an NFLOG group, for example:</p>
<pre>nft add rule inet filter input log prefix '"input "' group 1</pre>
<p>Or start the exporter with <code>--rules.install</code>: it then logs all inbound packets itself.</p>
"#;

const OF_LINES: &str = r#"<p>The exporter shows the packets in lines of the kernel log, which firewall rules with LOG write, for example those of
<code>ufw logging on</code>, or:</p>
<pre>nft add rule inet filter input log prefix '"input "'</pre>
<p>The lines have to reach a configured source: <code>/dev/kmsg</code>, a log file or the syslog listener.</p>
"#;

const DOCTOR: &str =
    "<p><code>nflog_exporter doctor</code>, run as root, shows what is missing.</p>\n";

impl PageSources {
    /// How packets reach these sources, as HTML.
    fn instructions(self) -> String {
        let of_groups = if self.groups { OF_GROUPS } else { "" };
        let of_lines = if self.lines { OF_LINES } else { "" };
        [of_groups, of_lines, DOCTOR].concat()
    }
}

/// The page itself. Its links are relative, so that it works under a path prefix of a reverse proxy.
#[must_use]
pub fn index(info: &PageInfo) -> String {
    // Without the dot, a browser reads a path such as `/a:b` as a scheme.
    let metrics = format!(".{}", info.telemetry_path);
    INDEX
        .replace("{modules}", &preloads())
        .replace("{instructions}", &info.sources.instructions())
        .replace("{version}", &escape(info.version))
        .replace("{telemetry_path}", &escape(&metrics))
}

/// Links to the modules of the script. Browsers then load them at once, not only after the module that imports them.
fn preloads() -> String {
    let modules = ASSETS.iter().filter(|asset| asset.path.starts_with(paths::MODULES));
    modules.fold(String::new(), |links, asset| {
        links + "<link rel=\"modulepreload\" href=\"" + &asset.path[1..] + "\">\n"
    })
}

/// Text for an element or a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_index_escapes_its_values_and_loads_nothing_from_other_hosts() {
        let sources = PageSources { groups: true, lines: true };
        let page =
            index(&PageInfo { telemetry_path: "/m\"><b>&'".into(), version: "1.2.3", sources });
        assert!(
            page.contains(r#"<a href="./m&quot;&gt;&lt;b&gt;&amp;&#39;">Metrics</a>"#),
            "{page}"
        );
        assert!(page.contains("nflog_exporter 1.2.3") && !page.contains('{'), "{page}");
        assert!(page.contains("\"-/healthy\"") && page.contains("\"-/ready\""));
        // The links to other hosts are attributions: followed, not loaded.
        let page = page
            .replace("<a href=\"https://db-ip.com\">", "")
            .replace("<a href=\"https://www.naturalearthdata.com\">", "");
        assert!(!page.contains("//") && !page.contains("style=") && !page.contains("<style"));
        // Under a path prefix of a proxy, an absolute link leads out of it.
        assert!(!page.contains("=\"/"), "{page}");
    }

    #[test]
    fn a_page_without_packets_explains_the_configured_sources() {
        for (groups, lines) in [(true, false), (false, true), (true, true)] {
            let sources = PageSources { groups, lines };
            let page = index(&PageInfo { telemetry_path: "/m".into(), version: "1", sources });
            assert_eq!(page.contains("NFLOG group") && page.contains("--rules.install"), groups);
            assert_eq!(page.contains("lines of the kernel log"), lines);
            assert!(page.contains("nflog_exporter doctor"));
        }
    }

    #[test]
    fn the_map_has_every_country() {
        let map = ASSETS.iter().find(|asset| asset.path == paths::MAP).unwrap().text();
        let table = include_str!("../../assets/countries.tsv");
        let codes = table.lines().filter(|line| !line.starts_with('#')).map(|line| &line[..2]);
        for code in codes {
            let shape = format!("data-code=\"{code}\"");
            assert_eq!(map.matches(&shape).count(), 1, "{code}");
        }
        assert!(!map.contains("<script") && !map.contains("href") && !map.contains("NaN"));
    }

    #[test]
    fn every_asset_has_a_reserved_path() {
        for asset in ASSETS {
            assert!(paths::is_reserved(asset.path), "{}", asset.path);
        }
    }

    /// The modules that a module imports.
    fn imports(module: &Asset) -> Vec<&'static Asset> {
        let text = module.text();
        let lines = text.lines().filter(|line| line.starts_with("import "));
        let names = lines.map(|line| {
            line.split_once("from \"./").and_then(|(_, rest)| rest.strip_suffix("\";")).unwrap()
        });
        let find = |name: &str| ASSETS.iter().find(|it| it.path == format!("/page/{name}"));
        names.map(|name| find(name).unwrap_or_else(|| panic!("{name} is not served"))).collect()
    }

    #[test]
    fn every_module_is_imported_and_none_in_a_circle() {
        let mut reached = BTreeSet::new();
        let mut next = vec![vec!["/page/page.js"]];
        while let Some(way) = next.pop() {
            let path = way[way.len() - 1];
            let module = ASSETS.iter().find(|asset| asset.path == path).unwrap();
            assert!(module.text().starts_with("/**"), "{path} does not say what it owns");
            reached.insert(path);
            for imported in imports(module) {
                assert!(!way.contains(&imported.path), "{way:?} imports {}", imported.path);
                next.push([&way[..], &[imported.path]].concat());
            }
        }
        let modules = ASSETS.iter().filter(|asset| asset.path.starts_with(paths::MODULES));
        assert_eq!(reached, modules.map(|asset| asset.path).collect());
    }
}
