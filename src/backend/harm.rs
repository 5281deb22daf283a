//! What can really go wrong with one statement, made to happen.
//!
//! Nothing is pretended: the server itself ends the session or answers with its own error, and
//! its code is the witness. How it is brought about is in `sessions/harm.rs`.

use super::Submitted;

/// What is made to go wrong with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The server ends the session before the commit reaches it.
    CutBefore,
    /// The server ends the session after the commit, before its client learns of it.
    CutAfter,
    /// The server answers with an error and executes nothing.
    Error,
    /// Somebody else holds the row's lock for longer than the session waits.
    LockTimeout,
    /// The session and another one wait for each other.
    Deadlock,
    /// Somebody else writes the row after the transaction's snapshot was taken.
    Serialization,
}

/// What became of a statement that was to be harmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harmed {
    /// What the server did, as far as it is known.
    pub submitted: Option<Submitted>,
    /// Whether the client knows nothing of it, since its connection is gone.
    pub lost: bool,
    /// How one knows that it struck; `None` when it did not.
    pub witness: Option<String>,
}

impl Harmed {
    /// It went as it would have gone anyway.
    pub fn unharmed(submitted: Submitted) -> Harmed {
        Harmed { submitted: Some(submitted), lost: false, witness: None }
    }
}

/// Why a connection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be made: what was to be sent was not.
    Refused,
    /// It broke; what was sent may have been carried out.
    Cut,
}
