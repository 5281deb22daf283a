//! The database's log of commits, as a change-data-capture reader sees it.

use super::{Row, RowId};
use crate::operation::OpId;

/// One committed change of a row of the first table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogRecord {
    /// Its place in the log, from 1 on, without gaps in what was logged.
    pub position: u64,
    /// The row.
    pub id: RowId,
    /// The operation that changed it.
    pub writer: OpId,
    /// The row's version after the change, where the database tells.
    pub version: u64,
    /// The row after the change; `None` when it was deleted.
    pub row: Option<Row>,
}
