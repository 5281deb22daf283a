//! What is wrong at the end of a schedule, as plain data that two schedules, or a model and a
//! real server, can be compared by.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::audit::Class;
use crate::scenario::Property;

/// One thing that is wrong.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The key that it is about; empty where it is about none.
    pub key: String,
    /// The hazard, from provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hazard: Option<String>,
    /// How long it stays wrong by itself.
    pub lasts: Lasts,
}

/// What can be wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An acknowledged write that the database never had, or has lost.
    LostWrite,
    /// A read-modify-write that overwrote a write it had not seen.
    LostUpdate,
    /// An increment that took effect twice for one operation.
    DoubleApplied,
    /// An entry of another key.
    WrongKey,
    /// An entry that is not a row.
    Undecodable,
    /// An entry that no commit ever made.
    Ahead,
    /// An entry of a row that was deleted.
    Ghost,
    /// `no such row` cached, though there is one.
    NegativeStale,
    /// The right write with other data.
    Diverged,
    /// An entry older than its row.
    Stale,
    /// A read that returned another row than was asked for.
    WrongRead,
    /// A read of a value that was never committed.
    PhantomRead,
    /// A read of a value that was committed later.
    AheadRead,
    /// A read of a value that had been superseded before it began.
    StaleRead,
    /// The history of a key has no explanation by one register.
    NotLinearizable,
    /// A client did not read what it had written itself.
    ReadYourWrites,
    /// A client read an older value after a newer one.
    MonotonicReads,
    /// A read of several rows that were never all current at once.
    TornRead,
    /// A write that reported failure although the database had changed.
    MisreportedFailure,
    /// Two reads that missed a row loaded it at the same time.
    Herd,
    /// An entry that was stored and never there to be served.
    NeverKept,
    /// The pattern panicked.
    Panic,
    /// All that was left waited for a lock.
    Deadlock,
}

impl Kind {
    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LostWrite => "lost-write",
            Kind::LostUpdate => "lost-update",
            Kind::DoubleApplied => "double-applied",
            Kind::WrongKey => "wrong-key",
            Kind::Undecodable => "undecodable",
            Kind::Ahead => "ahead",
            Kind::Ghost => "ghost",
            Kind::NegativeStale => "negative-stale",
            Kind::Diverged => "diverged",
            Kind::Stale => "stale",
            Kind::WrongRead => "wrong-read",
            Kind::PhantomRead => "phantom-read",
            Kind::AheadRead => "ahead-read",
            Kind::StaleRead => "stale-read",
            Kind::NotLinearizable => "not-linearizable",
            Kind::ReadYourWrites => "read-your-writes",
            Kind::MonotonicReads => "monotonic-reads",
            Kind::TornRead => "torn-read",
            Kind::MisreportedFailure => "misreported-failure",
            Kind::Herd => "herd",
            Kind::NeverKept => "never-kept",
            Kind::Panic => "panic",
            Kind::Deadlock => "deadlock",
        }
    }

    /// The hazard that is another name for it, whatever caused it.
    pub(crate) fn hazard(self) -> Option<&'static str> {
        Some(match self {
            Kind::LostUpdate => "rmw-lost-update",
            Kind::DoubleApplied => "cached-counter-double-apply",
            Kind::MisreportedFailure => "misreported-failure",
            Kind::Herd => "thundering-herd",
            Kind::NeverKept => "ttl-30-day",
            _ => return None,
        })
    }

    /// Whether something of this kind can be an instance of a hazard.
    pub(crate) fn allows(self, hazard: &str) -> bool {
        let of_a_read =
            matches!(self, Kind::WrongRead | Kind::PhantomRead | Kind::AheadRead | Kind::StaleRead);
        match (self.hazard(), hazard) {
            (Some(own), _) => own == hazard,
            (_, "multiget-skew" | "torn-multi-key") => self == Kind::TornRead,
            (
                _,
                "commit-to-delete-window"
                | "connection-desync"
                | "fresh-then-stale-inversion"
                | "joined-old-load"
                | "local-l1-stale"
                | "replica-lag-read"
                | "stale-flag-ignored"
                | "stale-while-revalidate"
                | "stub-read-as-value",
            ) => of_a_read,
            _ => self != Kind::TornRead,
        }
    }

    /// The property that it breaks.
    pub fn property(self) -> Property {
        match self {
            Kind::WrongRead | Kind::PhantomRead | Kind::AheadRead | Kind::StaleRead => {
                Property::Reads
            }
            Kind::TornRead => Property::Reads,
            Kind::NotLinearizable => Property::Linearizability,
            Kind::ReadYourWrites | Kind::MonotonicReads => Property::Sessions,
            Kind::MisreportedFailure => Property::Reports,
            Kind::Herd | Kind::NeverKept => Property::Load,
            _ => Property::FinalState,
        }
    }

    /// The class of an entry of this kind; `None` for what is not about an entry.
    pub(crate) fn class(self) -> Option<Class> {
        Class::ALL.into_iter().find(|class| Kind::of_entry(*class) == Some(self))
    }

    /// What an audited entry of this class is; `None` when nothing is wrong with it.
    pub fn of_entry(class: Class) -> Option<Kind> {
        match class {
            Class::Match | Class::Absent | Class::Unreachable => None,
            Class::Stale => Some(Kind::Stale),
            Class::Ahead => Some(Kind::Ahead),
            Class::Ghost => Some(Kind::Ghost),
            Class::NegativeStale => Some(Kind::NegativeStale),
            Class::Diverged => Some(Kind::Diverged),
            Class::WrongKey => Some(Kind::WrongKey),
            Class::Undecodable => Some(Kind::Undecodable),
        }
    }
}

/// For how long something stays wrong by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts {
    /// It is over when the operations are.
    Transient,
    /// Until the entry expires.
    Bounded,
    /// For ever: the entry never expires.
    Permanent,
    /// Data is lost: the database itself is wrong.
    Lost,
}

impl Lasts {
    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Lasts::Transient => "transient",
            Lasts::Bounded => "bounded",
            Lasts::Permanent => "permanent",
            Lasts::Lost => "lost",
        }
    }
}

impl Finding {
    /// A finding without a hazard's name.
    pub fn about(kind: Kind, key: String, lasts: Lasts) -> Finding {
        Finding { kind, key, hazard: None, lasts }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if !self.key.is_empty() {
            write!(f, " {}", self.key)?;
        }
        if let Some(hazard) = &self.hazard {
            write!(f, " ({hazard})")?;
        }
        write!(f, ", {}", self.lasts.name())
    }
}
