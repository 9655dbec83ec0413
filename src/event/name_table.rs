//! The table of names that several threads add to, and the open batches that an eviction waits for.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
};

use hashbrown::HashMap;

use super::names::{
    CurrentNames, MAX_DEVICES, MAX_HOSTS, MAX_NETWORKS, MAX_PREFIXES, NameId, Names, UsedNames,
};
use crate::system::lock::{lock, wait};

/// The field of a packet that has a name. The last spelling of each field is cached, because most packets
/// of a batch share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameField {
    /// A rule's log prefix.
    Prefix,
    /// The input device.
    InDevice,
    /// The output device.
    OutDevice,
    /// The host that logged the packet.
    Host,
    /// The configured name of a network or a list.
    Network,
}

/// Each kind of name has its own maximum. A name keeps the kind with which it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum NameKind {
    Prefix,
    Device,
    Host,
    Network,
}

impl NameField {
    pub(super) fn kind(self) -> NameKind {
        match self {
            Self::Prefix => NameKind::Prefix,
            Self::InDevice | Self::OutDevice => NameKind::Device,
            Self::Host => NameKind::Host,
            Self::Network => NameKind::Network,
        }
    }
}

/// Maximum number of names of each [`NameKind`].
const MAXIMA: [usize; 4] = [MAX_PREFIXES, MAX_DEVICES, MAX_HOSTS, MAX_NETWORKS];

/// The writer of [`Names`], shared by the interners of all threads.
#[derive(Debug)]
pub(super) struct SharedTable {
    table: Mutex<NameTable>,
    current: CurrentNames,
    is_full: AtomicBool,
    gate: Mutex<Gate>,
    /// A batch was closed, or an eviction ended.
    changed: Condvar,
}

#[derive(Debug)]
struct NameTable {
    names: Names,
    ids: HashMap<Box<str>, NameId>,
    /// The kind of each name, by the number of its id.
    kinds: Vec<NameKind>,
    /// Number of names of each [`NameKind`].
    counts: [usize; 4],
    /// Unassigned ids; the last is assigned first.
    free: Vec<NameId>,
}

/// Keeps batches and evictions apart: batches can be open at the same time, an eviction runs alone.
#[derive(Debug, Default)]
struct Gate {
    /// Number of open batches.
    open: usize,
    is_evicting: bool,
    /// Number of evictions so far.
    evictions: u64,
}

/// A batch whose ids are not yet with their owners. Dropping it closes it, also if its thread panics.
#[derive(Debug)]
pub(super) struct OpenBatch {
    table: Arc<SharedTable>,
    evictions: u64,
}

impl OpenBatch {
    /// Opens a batch. Waits while names are evicted.
    pub(super) fn new(table: &Arc<SharedTable>) -> Self {
        let mut gate = lock(&table.gate);
        while gate.is_evicting {
            gate = wait(&table.changed, gate);
        }
        gate.open += 1;
        Self { table: Arc::clone(table), evictions: gate.evictions }
    }

    /// Number of evictions before it.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        let mut gate = lock(&self.table.gate);
        gate.open -= 1;
        if gate.is_evicting && gate.open == 0 {
            drop(gate);
            self.table.changed.notify_all();
        }
    }
}

/// An eviction: no batch is open until it is dropped, also if its thread panics.
struct Eviction<'t>(&'t SharedTable);

impl<'t> Eviction<'t> {
    /// Waits until every open batch is closed; a reader closes its batch after each datagram.
    fn new(table: &'t SharedTable) -> Self {
        let mut gate = lock(&table.gate);
        while gate.is_evicting {
            gate = wait(&table.changed, gate);
        }
        gate.is_evicting = true;
        while gate.open > 0 {
            gate = wait(&table.changed, gate);
        }
        Self(table)
    }
}

impl Drop for Eviction<'_> {
    fn drop(&mut self) {
        lock(&self.0.gate).is_evicting = false;
        self.0.changed.notify_all();
    }
}

impl SharedTable {
    /// A table of these names, which no other table adds to.
    pub(super) fn new(names: Names) -> Self {
        let ids = [("other".into(), NameId::OTHER), ("".into(), NameId::EMPTY)].into();
        Self {
            current: CurrentNames::new(names.clone()),
            table: Mutex::new(NameTable {
                names,
                ids,
                // The kinds of `other` and of the empty name, which are never evicted.
                kinds: vec![NameKind::Prefix; 2],
                counts: [0; 4],
                free: Vec::new(),
            }),
            is_full: AtomicBool::new(false),
            gate: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn names(&self) -> Names {
        lock(&self.table).names.clone()
    }

    pub(super) fn current_names(&self) -> CurrentNames {
        self.current.clone()
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Number of names other than `other` and the empty one.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.table).counts.iter().sum()
    }

    /// The id of a clean name; `None`, and counted, if it is new and its kind has reached its maximum.
    pub(super) fn id(&self, kind: NameKind, text: String) -> Option<NameId> {
        let mut table = lock(&self.table);
        if let Some(&id) = table.ids.get(text.as_str()) {
            return Some(id);
        }
        let id = table.add(kind, &text);
        match id {
            Some(id) => drop(table.ids.insert(text.into(), id)),
            None => table.names.refuse(),
        }
        self.is_full.store(table.is_full(), Ordering::Relaxed);
        id
    }

    /// Evicts every unused name by switching to a new table, and returns their number. See
    /// [`Interner::evict_unused`](super::Interner::evict_unused).
    pub(super) fn evict_unused(&self, used: impl FnOnce() -> UsedNames) -> usize {
        let eviction = Eviction::new(self);
        let used = used();
        let mut table = lock(&self.table);
        let evicted = table.evict_unused(&used);
        if evicted > 0 {
            self.current.set(table.names.clone());
            self.is_full.store(table.is_full(), Ordering::Relaxed);
            lock(&self.gate).evictions += 1;
        }
        drop(table);
        drop(eviction);
        evicted
    }
}

impl NameTable {
    fn is_full(&self) -> bool {
        self.counts.iter().zip(MAXIMA).any(|(count, maximum)| *count >= maximum)
    }

    fn evict_unused(&mut self, used: &UsedNames) -> usize {
        let evicted: Vec<_> = self.ids.values().copied().filter(|id| !used.contains(*id)).collect();
        if evicted.is_empty() {
            return 0;
        }
        for id in &evicted {
            self.counts[self.kinds[usize::from(id.index())] as usize] -= 1;
        }
        let count = evicted.len();
        self.free.extend(evicted);
        // Lowest first, so that assigned ids do not depend on the order of a map.
        self.free.sort_unstable_by(|one, other| other.cmp(one));
        self.ids.retain(|_, id| used.contains(*id));
        self.names = self.names.without_unused(used);
        count
    }

    /// Assigns an id to a new name; `None` if its kind has reached its maximum.
    fn add(&mut self, kind: NameKind, text: &str) -> Option<NameId> {
        if self.counts[kind as usize] >= MAXIMA[kind as usize] {
            return None;
        }
        let id = if let Some(id) = self.free.pop() {
            self.kinds[usize::from(id.index())] = kind;
            id
        } else {
            let id = NameId::from_index(u16::try_from(self.kinds.len()).ok()?);
            self.kinds.push(kind);
            id
        };
        self.counts[kind as usize] += 1;
        self.names.put(id, text);
        Some(id)
    }
}
