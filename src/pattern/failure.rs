//! What a pattern is told when a step goes wrong, and what it may pass on.

use crate::step::{CacheRefusal, SqlError, StepError};

/// Why an operation could not be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No reply from the cache.
    #[error("no reply from the cache: {}", .0.name())]
    Cache(StepError),
    /// The cache answered with an error.
    #[error("the cache refused: {0:?}")]
    CacheRefusal(CacheRefusal),
    /// No reply from the database.
    #[error("no reply from the database: {}", .0.name())]
    Database(StepError),
    /// The database answered with an error.
    #[error("the database refused: {}", .0.name())]
    Sql(SqlError),
    /// The reply is none to what was asked.
    #[error("a reply of another kind than the request")]
    OtherKind,
    /// A cached value could not be read.
    #[error("the cached value is not a row")]
    Undecodable,
    /// The pattern itself gave up.
    #[error("{0}")]
    GaveUp(&'static str),
}
