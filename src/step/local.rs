//! Accesses to memory that the clients of one process share: a queue of pending writes, a
//! lock table, a local cache. They are steps, so that a scheduler can order them and a
//! crash can lose them.

use bytes::Bytes;

use super::Key;

/// An access to a process's shared memory. Each is atomic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalCommand {
    /// Read a cell.
    Load { cell: Key },
    /// Write a cell, or clear it.
    Store { cell: Key, value: Option<Bytes> },
    /// Write a cell only if it is empty.
    StoreIfEmpty { cell: Key, value: Bytes },
    /// Write a cell only if it holds `expected`.
    CompareAndStore { cell: Key, expected: Bytes, value: Option<Bytes> },
    /// Append to a queue.
    Push { queue: Key, value: Bytes },
    /// Take the oldest entry of a queue.
    Pop { queue: Key },
}

/// The shared memory's reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalReply {
    /// What a load or pop found.
    Value(Option<Bytes>),
    /// Whether a store took place.
    Stored(bool),
}

impl LocalCommand {
    /// The name as in timelines.
    pub fn name(&self) -> &'static str {
        match self {
            LocalCommand::Load { .. } => "load",
            LocalCommand::Store { .. } => "store",
            LocalCommand::StoreIfEmpty { .. } => "store-if-empty",
            LocalCommand::CompareAndStore { .. } => "compare-and-store",
            LocalCommand::Push { .. } => "push",
            LocalCommand::Pop { .. } => "pop",
        }
    }

    /// The cell or queue.
    pub fn cell(&self) -> &Key {
        match self {
            LocalCommand::Load { cell }
            | LocalCommand::Store { cell, .. }
            | LocalCommand::StoreIfEmpty { cell, .. }
            | LocalCommand::CompareAndStore { cell, .. } => cell,
            LocalCommand::Push { queue, .. } | LocalCommand::Pop { queue } => queue,
        }
    }
}
