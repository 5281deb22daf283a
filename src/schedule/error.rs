//! Why a run has no history.

use crate::backend::BackendError;
use crate::operation::OpId;

/// Why a run could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The environment failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The pattern waits for something that is not a step.
    #[error(
        "pattern `{pattern}` waits for something outside staleproof in operation {op}, after step \
         {step}: use only what `Cx` offers (its own `sleep`, no channels, no other runtime)"
    )]
    Stuck {
        /// The pattern.
        pattern: String,
        /// The operation.
        op: OpId,
        /// Its last step, counted from 1.
        step: u32,
    },
    /// A pattern did something else than before under the same schedule.
    #[error(
        "pattern `{pattern}` is not deterministic: told the same as before, operation {op} does \
         something else at step {step}; use only what `Cx` offers (its own `random` and `now`, \
         memory in `local`), or declare hidden state"
    )]
    NotDeterministic {
        /// The pattern.
        pattern: String,
        /// The operation.
        op: OpId,
        /// The step that differs, counted from 1.
        step: u32,
    },
    /// Operations are under way and nothing can happen any more: a bug of the scheduler.
    #[error("nothing can happen any more, and these are not done: {waiting}; please report it")]
    NothingLeft {
        /// The operations, or nothing when background work is left.
        waiting: String,
    },
    /// Background work never came to rest.
    #[error(
        "background work of pattern `{pattern}` still finds something to do after {rounds} rounds; \
         does `tick` return `Idle` when there is nothing left?"
    )]
    NeverIdle {
        /// The pattern.
        pattern: String,
        /// Events after the last operation.
        rounds: u64,
    },
    /// The pattern's settings are wrong.
    #[error("pattern `{pattern}`: {problem}")]
    Settings {
        /// The pattern.
        pattern: String,
        /// What is wrong with them.
        problem: String,
    },
}
