//! The log of commits that change-data-capture readers read: positions in it are what lag, gap
//! and replay are made of.

use crate::operation::OpId;
use crate::step::{LogRecord, Row, RowId};

/// All commits of the first table, in their order; the oldest may have been purged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ChangeLog {
    records: Vec<LogRecord>,
    purged: u64,
}

impl ChangeLog {
    pub fn commit(&mut self, id: RowId, writer: OpId, version: u64, row: Option<Row>) {
        let position = self.records.len() as u64 + 1;
        self.records.push(LogRecord { position, id, writer, version, row });
    }

    /// At most `limit` records after a position that have not been purged.
    pub fn read(&self, after: u64, limit: u32) -> Vec<LogRecord> {
        let from = usize::try_from(after.max(self.purged)).unwrap_or(usize::MAX);
        self.records.iter().skip(from).take(limit as usize).cloned().collect()
    }

    /// Removes all records, read or not, as a server that needs the room does.
    pub fn purge(&mut self) {
        self.purged = self.records.len() as u64;
    }

    /// Whether it holds anything.
    pub fn holds_records(&self) -> bool {
        self.purged < self.records.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_on_over_a_gap() {
        let mut log = ChangeLog::default();
        log.commit(RowId(1), OpId(7), 2, None);
        log.commit(RowId(2), OpId(7), 2, None);
        assert_eq!(log.read(0, 1)[0].id, RowId(1));
        assert_eq!(log.read(1, 9)[0].position, 2);
        log.purge();
        assert!(!log.holds_records());
        log.commit(RowId(3), OpId(7), 2, None);
        let left = log.read(1, 9);
        assert_eq!((left.len(), left[0].position, left[0].id), (1, 3, RowId(3)));
        assert!(log.read(3, 9).is_empty());
    }
}
