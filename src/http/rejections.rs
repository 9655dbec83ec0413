//! Counts of rejected requests and connections, by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a request or a connection was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rejected: {}", self.name())]
pub enum Rejection {
    /// A request that is not valid HTTP, or whose head is too large.
    BadRequest,
    /// A request whose queue was full.
    Busy,
    /// A TLS client without a required certificate, or with an invalid one.
    Certificate,
    /// A connection that was closed to make room for another, or for which there was no room.
    Crowded,
    /// A request without valid credentials.
    Password,
    /// A request beyond the rate limit of the web configuration.
    RateLimit,
    /// A TLS handshake that failed for another reason.
    Tls,
    /// A client that took too long for a handshake, for a request or to read its response.
    TooSlow,
}

impl Rejection {
    /// All reasons, in the order of the metric.
    pub const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::Busy,
        Self::Certificate,
        Self::Crowded,
        Self::Password,
        Self::RateLimit,
        Self::Tls,
        Self::TooSlow,
    ];

    /// Value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Busy => "busy",
            Self::Certificate => "certificate",
            Self::Crowded => "crowded",
            Self::Password => "password",
            Self::RateLimit => "rate_limit",
            Self::Tls => "tls",
            Self::TooSlow => "too_slow",
        }
    }
}

/// The counts.
#[derive(Debug, Default)]
pub struct Rejections([AtomicU64; Rejection::ALL.len()]);

impl Rejections {
    /// Counts a rejection.
    pub(super) fn count(&self, rejection: Rejection) {
        self.0[rejection as usize].fetch_add(1, Relaxed);
    }

    /// The name and count of each reason, in the order of [`Rejection::ALL`].
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let count = |rejection: &Rejection| self.0[*rejection as usize].load(Relaxed);
        Rejection::ALL.iter().map(|rejection| (rejection.name(), count(rejection))).collect()
    }
}
