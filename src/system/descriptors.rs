//! The limit on open file descriptors of this process (`RLIMIT_NOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to `wanted`, or to the hard limit if that is lower. Never lowers it. Returns the limit in
/// force.
#[must_use]
pub fn raise_limit(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None means no limit.
    let before = current.unwrap_or(u64::MAX);
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if before >= raised {
        return before;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft_limit() -> u64 {
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = soft_limit();
        assert_eq!(raise_limit(1), before);
        assert_eq!(soft_limit(), before);
        let Some(maximum) = getrlimit(Resource::Nofile).maximum else { return };
        assert_eq!(raise_limit(u64::MAX), maximum);
        assert_eq!(soft_limit(), maximum);
    }
}
