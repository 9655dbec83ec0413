//! The publishers of databases: their servers, the paths of their files, and the terms of their data.

use jiff::civil::Date;
use url::Url;

use super::config::Publisher;
use crate::geoip::edition::Edition;

impl Publisher {
    /// The name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DbIp => "DB-IP",
            Self::MaxMind => "MaxMind",
        }
    }

    /// The address of its server.
    pub(super) fn server(self) -> &'static str {
        match self {
            Self::DbIp => "https://download.db-ip.com",
            Self::MaxMind => "https://download.maxmind.com",
        }
    }

    /// The attribution that its license requires.
    pub(super) fn attribution(self) -> &'static str {
        match self {
            Self::DbIp => "IP Geolocation by DB-IP, https://db-ip.com (CC BY 4.0)",
            Self::MaxMind => {
                "This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com"
            }
        }
    }

    /// The publisher of a database with this type in its metadata, or this file name; `None` for another one.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace('-', "");
        if name.starts_with("dbip") {
            return Some(Self::DbIp);
        }
        name.starts_with("geolite2").then_some(Self::MaxMind)
    }
}

/// The path of a file of DB-IP Lite on its server. A new one is published on one of the first days of a month.
pub(super) fn dbip_path(edition: Edition, month: Date) -> String {
    format!("free/dbip-{}-lite-{}.mmdb.gz", edition.name(), month.strftime("%Y-%m"))
}

/// The path of GeoLite2 on MaxMind's server. The query selects the archive or its checksum.
///
/// Source: <https://dev.maxmind.com/geoip/updating-databases>, "Directly Downloading Databases".
pub(super) fn maxmind_path(edition: Edition) -> String {
    let name = match edition {
        Edition::City => "City",
        Edition::Country => "Country",
        Edition::Asn => "ASN",
    };
    format!("geoip/databases/GeoLite2-{name}/download")
}

/// The address of a path below that of a server.
pub(super) fn url(server: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = server.clone();
    url.set_path(&format!("{}/{path}", server.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_publisher() {
        let check = |name, expect| assert_eq!(Publisher::of_name(name), expect, "{name}");
        check("DBIP-Country-Lite", Some(Publisher::DbIp));
        check("DBIP-ASN-Lite (compat=GeoLite2-ASN)", Some(Publisher::DbIp));
        check("dbip-city-lite-2026-11.mmdb", Some(Publisher::DbIp));
        check("DB-IP.mmdb", Some(Publisher::DbIp));
        check("GeoLite2-City", Some(Publisher::MaxMind));
        // Not free.
        check("GeoIP2-City", None);
        check("ipinfo standard_location.mmdb", None);
    }

    #[test]
    fn addresses_are_those_of_the_publishers() {
        let check = |server, path: &str, query, expect| {
            assert_eq!(url(&Url::parse(server).unwrap(), path, query).as_str(), expect);
        };
        let month = jiff::civil::date(2026, 3, 31);
        check(
            Publisher::DbIp.server(),
            &dbip_path(Edition::Asn, month),
            None,
            "https://download.db-ip.com/free/dbip-asn-lite-2026-03.mmdb.gz",
        );
        check(
            Publisher::MaxMind.server(),
            &maxmind_path(Edition::Asn),
            Some("suffix=tar.gz.sha256"),
            "https://download.maxmind.com/geoip/databases/GeoLite2-ASN/download?suffix=tar.gz.sha256",
        );
        check("https://a:8443/geo/", "x", None, "https://a:8443/geo/x");
    }
}
