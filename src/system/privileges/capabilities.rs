//! Drops all capabilities (capabilities(7)), so that none can be regained.

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

/// Removes every capability from the bounding set, if this thread has `CAP_SETPCAP`, as root has. Without it,
/// `no_new_privs` has the same effect.
pub(super) fn shrink_bounds() -> io::Result<()> {
    let held = capabilities(None)?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all() {
        // An older kernel does not know all capabilities of the list.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    Ok(())
}

/// Clears the ambient, effective, permitted and inheritable sets.
pub(super) fn clear() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
