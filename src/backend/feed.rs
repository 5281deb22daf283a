//! A database's own log of commits, as a change-data-capture reader follows it.

use super::BackendError;
use crate::operation::OpId;
use crate::step::{Row, RowId};

/// One committed change of a row of the first table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row.
    pub id: RowId,
    /// The operation that changed it.
    pub writer: OpId,
    /// The row's version after the change.
    pub version: u64,
    /// The row after the change; `None` when it was deleted.
    pub row: Option<Row>,
}

/// A reader of the log, with its position kept by the server.
pub trait Feed {
    /// What was committed since the last call, in the order of the commits. The server learns
    /// that the call before was dealt with only when this one has something new, as connectors
    /// acknowledge now and then.
    fn read(&mut self) -> Result<Vec<Change>, BackendError>;

    /// The reader starts anew: what the server has no acknowledgement of comes again with the
    /// next [`Feed::read`]. How one knows.
    fn start_anew(&mut self) -> Result<String, BackendError>;

    /// The log is purged: what has not been read yet never comes. So many changes, and how one
    /// knows.
    fn purge(&mut self) -> Result<(u64, String), BackendError>;
}
