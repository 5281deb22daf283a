//! The memory that the clients of one process share.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::operation::ProcessId;
use crate::step::{Footprint, Key, LocalCommand, LocalReply, Location};

/// Cells and queues by name. A crash replaces it by an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    cells: BTreeMap<Key, Bytes>,
    queues: BTreeMap<Key, VecDeque<Bytes>>,
}

impl Memory {
    pub fn execute(&mut self, command: &LocalCommand) -> LocalReply {
        match command {
            LocalCommand::Load { cell } => LocalReply::Value(self.cells.get(cell).cloned()),
            LocalCommand::Store { cell, value } => self.store(cell, value.as_ref()),
            LocalCommand::StoreIfEmpty { cell, value } => match self.cells.contains_key(cell) {
                true => LocalReply::Stored(false),
                false => self.store(cell, Some(value)),
            },
            LocalCommand::CompareAndStore { cell, expected, value } => {
                match self.cells.get(cell) == Some(expected) {
                    true => self.store(cell, value.as_ref()),
                    false => LocalReply::Stored(false),
                }
            }
            LocalCommand::Push { queue, value } => {
                self.queues.entry(queue.clone()).or_default().push_back(value.clone());
                LocalReply::Stored(true)
            }
            LocalCommand::Pop { queue } => {
                LocalReply::Value(self.queues.get_mut(queue).and_then(VecDeque::pop_front))
            }
        }
    }

    fn store(&mut self, cell: &Key, value: Option<&Bytes>) -> LocalReply {
        match value {
            Some(value) => self.cells.insert(cell.clone(), value.clone()),
            None => self.cells.remove(cell),
        };
        LocalReply::Stored(true)
    }
}

/// What an access to a process's memory reads or writes.
pub(super) fn note(command: &LocalCommand, process: usize, footprint: &mut Footprint) {
    let cell = || Location::Cell(ProcessId(process as u32), command.cell().clone());
    match command {
        LocalCommand::Load { .. } => footprint.read(cell),
        _ => footprint.write(cell),
    }
}
