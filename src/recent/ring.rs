//! The ring of the newest packets, in sealed chunks that a reader shares without a copy.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use super::{Cell, prefixes::KeptPrefixes};

/// Minimum number of packets in a full ring; about 3 MB.
pub const RING_CAPACITY: usize = CHUNK * CHUNKS;

/// Packets in a chunk. For a reader, only the open chunk is copied.
const CHUNK: usize = 1024;

/// Maximum sealed chunks.
const CHUNKS: usize = 64;

/// The fields of one packet that the page and the markers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Time of the packet, microseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The remote end; `None` when the IP header could not be read.
    pub remote: Option<IpAddr>,
    /// Country, protocol, prefix, port and network.
    pub cell: Cell,
}

/// The newest packets, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    sealed: VecDeque<Arc<Vec<Observation>>>,
    open: Vec<Observation>,
}

impl Ring {
    pub(super) fn push(&mut self, observation: Observation) {
        self.open.push(observation);
        if self.open.len() < CHUNK {
            return;
        }
        let oldest = if self.sealed.len() == CHUNKS { self.sealed.pop_front() } else { None };
        // Its memory is used again, unless a reader still has the chunk.
        let mut empty = oldest
            .and_then(|chunk| Arc::try_unwrap(chunk).ok())
            .unwrap_or_else(|| Vec::with_capacity(CHUNK));
        empty.clear();
        let full = std::mem::replace(&mut self.open, empty);
        self.sealed.push_back(Arc::new(full));
    }

    /// Folds prefixes that are not kept. The newest packets have priority.
    pub(super) fn keep(&mut self, kept: &mut KeptPrefixes<'_>) {
        fold(&mut self.open, kept);
        for piece in self.sealed.iter_mut().rev() {
            if !piece.iter().rev().all(|observation| kept.keep(observation.cell.prefix())) {
                fold(Arc::make_mut(piece).as_mut_slice(), kept);
            }
        }
    }

    pub(super) fn observations(&self) -> Observations {
        let open = Arc::new(self.open.clone());
        Observations(self.sealed.iter().cloned().chain([open]).collect())
    }
}

fn fold(observations: &mut [Observation], kept: &mut KeptPrefixes<'_>) {
    for observation in observations.iter_mut().rev() {
        if !kept.keep(observation.cell.prefix()) {
            observation.cell.fold_prefix();
        }
    }
}

/// The newest packets at one moment.
#[derive(Clone, Debug)]
pub struct Observations(Vec<Arc<Vec<Observation>>>);

impl Observations {
    /// All packets, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Observation> {
        self.0.iter().rev().flat_map(|chunk| chunk.iter().rev())
    }

    /// Number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether there are no packets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
