//! The different ports that one source tried: exact, within a limit for all sources together.

/// Ports that an entry stores itself, without memory of its own.
const INLINE: usize = 7;

/// Ports of a list; a source with more has a bit for each port.
const LISTED: usize = 63;

/// A set of ports. Up to 63 ports take at most 128 bytes, more ports take 8 KiB.
#[derive(Debug)]
pub(in crate::report) enum PortsTried {
    Few(u8, [u16; INLINE]),
    Listed(Box<[u16; LISTED + 1]>),
    Bits(Box<[u64; 1024]>),
}

impl Default for PortsTried {
    fn default() -> Self {
        Self::Few(0, [0; INLINE])
    }
}

/// How many more sources can have a bit for each port.
#[derive(Debug)]
pub(super) struct Allowance(pub(super) usize);

impl PortsTried {
    /// Adds a port. While `allowance` is used up, a set does not grow beyond 63 ports.
    pub(super) fn add(&mut self, port: u16, allowance: &mut Allowance) {
        match self {
            Self::Few(length, ports) => {
                let used = usize::from(*length);
                if ports[..used].contains(&port) {
                    return;
                }
                if let Some(free) = ports.get_mut(used) {
                    *free = port;
                    *length += 1;
                    return;
                }
                let mut listed = Box::new([0; LISTED + 1]);
                listed[0] = 8;
                listed[1..=INLINE].copy_from_slice(ports);
                listed[INLINE + 1] = port;
                *self = Self::Listed(listed);
            }
            Self::Listed(listed) => {
                let used = usize::from(listed[0]);
                if listed[1..=used].contains(&port) {
                    return;
                }
                if let Some(free) = listed.get_mut(used + 1) {
                    *free = port;
                    listed[0] += 1;
                    return;
                }
                if allowance.0 == 0 {
                    return;
                }
                allowance.0 -= 1;
                let mut bits = Box::new([0; 1024]);
                for port in listed[1..].iter().chain([&port]) {
                    bits[usize::from(port / 64)] |= 1 << (port % 64);
                }
                *self = Self::Bits(bits);
            }
            Self::Bits(bits) => bits[usize::from(port / 64)] |= 1 << (port % 64),
        }
    }

    /// Number of different ports; a lower bound if the set is [full](Self::is_full).
    pub(in crate::report) fn count(&self) -> u32 {
        match self {
            Self::Few(length, _) => (*length).into(),
            Self::Listed(listed) => listed[0].into(),
            Self::Bits(bits) => bits.iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// Whether the set reached the number of ports beyond which it may not have grown.
    pub(in crate::report) fn is_full(&self) -> bool {
        matches!(self, Self::Listed(listed) if usize::from(listed[0]) == LISTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_once() {
        let mut allowance = Allowance(1);
        let mut ports = PortsTried::default();
        for step in 0..=u16::MAX {
            let port = step.wrapping_mul(40_503);
            for _ in 0..2 {
                ports.add(port, &mut allowance);
                assert_eq!(ports.count(), u32::from(step) + 1);
            }
        }
        assert_eq!((ports.count(), ports.is_full(), allowance.0), (65_536, false, 0));
        let mut other = PortsTried::default();
        (0..200).for_each(|port| other.add(port, &mut allowance));
        assert_eq!((other.count(), other.is_full()), (63, true));
    }

    #[test]
    fn a_set_is_small() {
        assert!(size_of::<PortsTried>() <= 16);
    }
}
