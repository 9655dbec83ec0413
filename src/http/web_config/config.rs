//! The web configuration that is in use.

use std::{net::IpAddr, sync::Arc, time::Instant};

use hyper::{
    HeaderMap,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, HeaderValue},
};
use rustls::ServerConfig;

use super::{
    InvalidWebConfig, password_queue::PasswordQueue, rate_limit::TokenBucket, settings::Settings,
    tls, users::Users,
};
use crate::{http::Rejection, web::LiveResource};

/// The settings for connections and requests that begin now.
#[derive(Debug, Default)]
pub(in crate::http) struct WebConfig {
    tls: Option<Arc<ServerConfig>>,
    users: Option<Users>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate_limit: Option<TokenBucket>,
    /// Logged when the configuration comes into use.
    warnings: Vec<String>,
}

impl WebConfig {
    /// Builds the configuration of these settings, which replaces `previous`.
    pub(super) fn new(
        settings: &Settings,
        queue: &PasswordQueue,
        previous: &Self,
    ) -> Result<Self, InvalidWebConfig> {
        let mut warnings = Vec::new();
        let server = Some(&settings.tls_server_config).filter(|tls| tls.is_enabled());
        let server = server.map(|tls| tls::server(tls, &mut warnings)).transpose()?;
        let users = Some(&settings.basic_auth_users).filter(|users| !users.is_empty());
        let users = users
            .map(|users| Users::new(users, queue.clone(), previous.users.as_ref(), &mut warnings));
        let users = users.transpose()?;
        let limit = settings.rate_limit()?;
        Ok(Self {
            tls: server.map(Arc::new),
            users,
            headers: settings.headers()?,
            rate_limit: limit
                .map(|limit| TokenBucket::new(limit.interval, limit.burst, Instant::now())),
            warnings,
        })
    }

    pub(super) fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("web configuration: {warning}");
        }
    }

    /// The settings of TLS; `None` for plain HTTP.
    pub(in crate::http) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Whether the rate limit allows a request now, which then counts.
    pub(in crate::http) fn is_within_rate_limit(&self) -> bool {
        self.rate_limit.as_ref().is_none_or(|limit| limit.take(Instant::now()))
    }

    #[cfg(test)]
    pub(super) fn has_rate_limit(&self) -> bool {
        self.rate_limit.is_some()
    }

    /// Whether requests need a password.
    pub(in crate::http) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Checks the credentials of a request from this address.
    pub(in crate::http) async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<(), Rejection> {
        match &self.users {
            Some(users) => users.authenticate(headers, peer).await,
            None => Ok(()),
        }
    }

    /// The headers of responses for a path.
    pub(in crate::http) fn headers(
        &self,
        path: &str,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // On other paths, any site could read the metrics of an exporter on loopback through a visitor's
        // browser.
        let is_shareable = LiveResource::at(path).is_some_and(LiveResource::is_shareable);
        let all = self.headers.iter();
        all.filter(move |(name, _)| is_shareable || name != ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
    }
}
