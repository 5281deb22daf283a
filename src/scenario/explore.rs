//! The `[explore]` section: how far every schedule of a small configuration is searched, and
//! what is expected of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bounds of an exploration, and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ExploreSettings {
    /// Faults that strike in one schedule at the most; by default 1 where the scenario has
    /// faults, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 8))]
    pub faults: Option<u32>,
    /// Steps that may take longer than their timeouts in one schedule: clients that are so slow.
    #[schemars(range(max = 8))]
    pub advances: u32,
    /// What is asked of every schedule; by default the final state and the reads.
    pub property: Vec<Property>,
    /// Clients that read every key once, where the scenario has no scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 16))]
    pub readers: Option<u32>,
    /// Clients that update every key once, where the scenario has no scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 16))]
    pub writers: Option<u32>,
    /// Keys, where the scenario has no scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub keys: Option<u32>,
    /// Whether it is expected to hold within the bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expected>,
    /// The hazard that is expected to be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hazard: Option<String>,
    /// The pattern that is expected to hold within the same bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defence: Option<String>,
    /// Settings of that pattern.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub defence_settings: BTreeMap<String, toml::Value>,
    /// A place (`cx.mark`) of the pattern, or of its defence where there is one, that some
    /// schedule must reach where nothing is found: else the race was not entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// What must have happened in some schedule, under whatever pattern, for the race to have
    /// been entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// What makes a race possible, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// A row was committed while a read of it was under way.
    CommitDuringRead,
    /// Two writes of a row were under way at once.
    WritesOverlap,
    /// A row was read, committed, and read again.
    ReadAfterCommit,
    /// A row was read, and committed after that: the entry of the read was left behind.
    CommitAfterRead,
    /// Two reads of a row were under way at once.
    ReadsOverlap,
    /// There was a read after a read.
    ReadAgain,
    /// A row was committed: what the defence does to it is all that there is to be seen.
    Committed,
    /// A fault struck.
    FaultStruck,
}

impl Window {
    /// All windows.
    pub const ALL: [Window; 8] = [
        Window::CommitDuringRead,
        Window::WritesOverlap,
        Window::ReadAfterCommit,
        Window::CommitAfterRead,
        Window::ReadsOverlap,
        Window::ReadAgain,
        Window::Committed,
        Window::FaultStruck,
    ];

    /// The name of the mark that says so.
    pub fn mark(self) -> &'static str {
        match self {
            Window::CommitDuringRead => "window: commit-during-read",
            Window::WritesOverlap => "window: writes-overlap",
            Window::ReadAfterCommit => "window: read-after-commit",
            Window::CommitAfterRead => "window: commit-after-read",
            Window::ReadsOverlap => "window: reads-overlap",
            Window::ReadAgain => "window: read-again",
            Window::Committed => "window: committed",
            Window::FaultStruck => "window: fault-struck",
        }
    }
}

/// What an exploration is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// No schedule within the bounds breaks the property.
    Holds,
    /// Some schedule does.
    Violated,
}

/// What is asked of every schedule.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// When all is done, no entry is wrong and no acknowledged write or update is lost;
    /// nothing panics or deadlocks.
    FinalState,
    /// No read returns a superseded, uncommitted or foreign value.
    Reads,
    /// Every key's history is linearizable.
    Linearizability,
    /// Every client reads its own writes, and never an older value after a newer one.
    Sessions,
    /// No write reports failure when it changed the database.
    Reports,
    /// No two reads load a row at the same time, and what is stored is there to be served.
    Load,
}

impl Property {
    /// All properties.
    pub const ALL: [Property; 6] = [
        Property::FinalState,
        Property::Reads,
        Property::Linearizability,
        Property::Sessions,
        Property::Reports,
        Property::Load,
    ];

    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Property::FinalState => "final-state",
            Property::Reads => "reads",
            Property::Linearizability => "linearizability",
            Property::Sessions => "sessions",
            Property::Reports => "reports",
            Property::Load => "load",
        }
    }

    /// The property of this name.
    pub fn find(name: &str) -> Option<Property> {
        Property::ALL.into_iter().find(|property| property.name() == name)
    }
}
