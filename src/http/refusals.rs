//! What the server turned away, counted by reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a client was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A request that HTTP does not allow, or that is too large.
    BadRequest,
    /// Too many others wait for an answer.
    Busy,
    /// A TLS client without a certificate that is asked for, or with one that is not taken.
    Certificate,
    /// A connection that made room for a newer one.
    Crowded,
    /// A request without a right password.
    Password,
    /// More requests than the web configuration allows.
    RateLimit,
    /// A TLS handshake that failed in another way.
    Tls,
    /// A client that took too long for a handshake, for a request or to take its answer.
    TooSlow,
}

impl Refusal {
    /// All of them, as they are shown.
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
pub struct Refusals([AtomicU64; Refusal::ALL.len()]);

impl Refusals {
    /// Counts one.
    pub(super) fn count(&self, refusal: Refusal) {
        self.0[refusal as usize].fetch_add(1, Relaxed);
    }

    /// Each reason's name and count, in order.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let count = |refusal: &Refusal| self.0[*refusal as usize].load(Relaxed);
        Refusal::ALL.iter().map(|refusal| (refusal.name(), count(refusal))).collect()
    }
}
