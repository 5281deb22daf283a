//! What a client library knows of its transaction without asking the server.

use crate::step::{DbCommand, SqlError};

/// The transaction of a connection as its client sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Open {
    /// None.
    #[default]
    No,
    /// One.
    Yes,
    /// One that a failed statement has aborted: it can only be rolled back.
    Aborted,
}

impl Open {
    /// What can be answered without the server: statements that do not fit the state. The
    /// servers answer some of these with a warning, and MariaDB's BEGIN would commit.
    pub(super) fn refuses(self, command: &DbCommand) -> Option<SqlError> {
        match (self, command) {
            (Open::Yes | Open::Aborted, DbCommand::Begin(_))
            | (Open::No, DbCommand::Commit | DbCommand::Rollback) => {
                Some(SqlError::TransactionState)
            }
            (Open::Aborted, DbCommand::Commit | DbCommand::Rollback) => None,
            (Open::Aborted, _) => Some(SqlError::TransactionAborted),
            _ => None,
        }
    }

    /// The server has carried a statement out.
    #[cfg(any(feature = "postgres", feature = "mariadb"))]
    pub(super) fn follow(&mut self, command: &DbCommand) {
        match command {
            DbCommand::Begin(_) => *self = Open::Yes,
            DbCommand::Commit | DbCommand::Rollback => *self = Open::No,
            _ => {}
        }
    }
}
