//! The messages of NFLOG of a batch, in one allocation: the only bytes of packets that outlive the reading of a datagram.

/// The messages of a batch, in the order of its events.
#[derive(Clone, Debug, Default)]
pub struct PacketMessages {
    bytes: Vec<u8>,
    /// The end of each message in `bytes`.
    ends: Vec<usize>,
}

impl PacketMessages {
    /// Appends the message of the next event; empty if it has none.
    pub fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    /// Removes all messages and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The message of the event with this index in the batch; empty if it has none.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    /// Memory of the messages, bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_message() {
        let mut messages = PacketMessages::default();
        for message in [&b"one"[..], b"", b"three"] {
            messages.push(message);
        }
        let all: Vec<_> = (0..4).map(|index| messages.get(index)).collect();
        assert_eq!(all, [&b"one"[..], b"", b"three", b""]);
        messages.clear();
        messages.push(b"next");
        assert_eq!((messages.get(0), messages.get(1)), (&b"next"[..], &b""[..]));
    }
}
