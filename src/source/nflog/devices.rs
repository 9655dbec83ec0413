//! Cache of network device names by index, invalidated by rtnetlink events.

use std::sync::Arc;

use hashbrown::HashMap;
use neli::consts::socket::NlFamily;
use rustix::{io::Errno, net::netdevice::index_to_name};

use crate::netlink::Socket;

/// Maximum number of cached names; a host with more devices only loses the benefit of the cache.
const MAX_NAMES: usize = 1024;
/// `RTMGRP_LINK`, `linux/rtnetlink.h`: an event for every device that is added, removed or renamed.
const LINK_EVENTS: u32 = 1;

/// The names of the devices of one network namespace.
///
/// A name is looked up on the first use of its index. Any device event clears the cache.
pub(super) struct Devices {
    socket: Socket,
    names: HashMap<u32, Arc<str>>,
    /// The devices of the previous packet, with their names: most packets have the same.
    last: [(u32, Arc<str>); 2],
}

impl Devices {
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self {
            socket: Socket::open(NlFamily::Route, LINK_EVENTS)?,
            names: HashMap::new(),
            last: no_devices(),
        })
    }

    /// The event socket: readable after a device changed.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Reads the pending events and clears the cache. `buffer` is overwritten.
    pub(super) fn refresh(&mut self, buffer: &mut [u8]) {
        // The events are not parsed: any of them, or an overrun, clears the cache.
        for _ in 0..MAX_EVENTS {
            match self.socket.receive(buffer) {
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => self.clear(),
                Err(_) => break,
            }
        }
    }

    /// The names of two devices: empty for index 0, `if17` for an index that no device has.
    #[inline]
    pub(super) fn names(&mut self, first: u32, second: u32) -> (&str, &str) {
        let [one, other] = &self.last;
        if (one.0, other.0) != (first, second) {
            self.learn(first, second);
        }
        let [one, other] = &self.last;
        (&one.1, &other.1)
    }

    fn learn(&mut self, first: u32, second: u32) {
        if self.names.len() + 2 > MAX_NAMES {
            self.clear();
        }
        self.last = [first, second].map(|index| (index, self.name(index)));
    }

    fn name(&mut self, index: u32) -> Arc<str> {
        if index == 0 {
            return Arc::default();
        }
        let name = self.names.entry(index).or_insert_with(|| {
            let name = index_to_name(&self.socket, index);
            name.unwrap_or_else(|_| format!("if{index}")).into()
        });
        Arc::clone(name)
    }

    fn clear(&mut self) {
        self.names.clear();
        self.last = no_devices();
    }
}

fn no_devices() -> [(u32, Arc<str>); 2] {
    [(0, Arc::default()), (0, Arc::default())]
}

/// Maximum number of datagrams read at once, so that many events cannot delay packets.
const MAX_EVENTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_known_unknown_and_no_index() {
        let mut devices = Devices::open().unwrap();
        // The loopback device is the first of every network namespace.
        assert_eq!(devices.names(1, 0), ("lo", ""));
        assert_eq!(devices.names(0, 1_000_017), ("", "if1000017"));
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut devices = Devices::open().unwrap();
        for index in 1_000_000..1_002_000 {
            devices.names(index, 1);
            assert!(devices.names.len() <= MAX_NAMES);
        }
        assert_eq!(devices.names(1, 1), ("lo", "lo"));
    }
}
