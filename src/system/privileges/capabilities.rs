//! Capabilities: none is kept, and none can come back.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Whether this thread has `CAP_NET_ADMIN` in its effective set.
#[must_use]
pub fn has_net_admin() -> bool {
    // A thread can always query its own sets.
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
}

/// Takes every capability out of the set that a program started later could get, where this thread may
/// (`CAP_SETPCAP`, so: as root). Where it may not, `no_new_privs` comes to the same.
pub(super) fn shrink_bounds() -> io::Result<()> {
    let held = capabilities(None)?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all() {
        // A kernel older than the list does not know the last ones.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

/// Empties all other sets.
pub(super) fn clear() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
