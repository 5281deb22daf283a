//! What is explored, and what it comes to: plain data.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    CacheAside,
    WriteThrough,
    DeleteBeforeWrite,
    Lease,
    VersionedSet,
    /// Writers change the database alone.
    ReadThrough,
    /// Writers delete, write, delete, and delete again after a while.
    DelayedDoubleDelete,
    /// Readers fill, and writers write, under a lock that is an item; who finds it held reads the
    /// database, or gives up.
    ItemLock,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    #[default]
    Read,
    Update,
    Modify,
    Delete,
}

/// One operation, after a pause in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub pause: i64,
    pub verb: Verb,
    pub row: usize,
}

/// What goes wrong at most once in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One of these steps takes effect and its reply never comes.
    LoseReply(&'static [Do]),
    /// A process dies, is away for 10 ms, and what it had sent may still take effect: also the
    /// first step of an operation, if this says so.
    Crash { first: bool },
}

/// Steps, by what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    Get,
    /// A get whose token is kept.
    Compare,
    Set,
    Add,
    Cas,
    Delete,
    /// A get that leaves a stub where there is nothing, and the stub's token with the client.
    Vivify,
    /// A set, or a delete, of nothing but the item with this token.
    Fill,
    Unstub,
    Select,
    Write,
    /// An add, and a delete, of the row's lock.
    Lock,
    Unlock,
}

/// Whether time is kept. Strictly less is less by one part in `grain` of a unit; `second` is
/// how many units a second has. With a grain of 1 time is a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Every order is possible, and nothing expires.
    Off,
    On {
        second: i64,
        grain: i64,
    },
}

pub const CLOCK: Clock = Clock::On { second: 1000, grain: 1 << 12 };

#[derive(Clone, Debug)]
pub struct Program {
    pub strategy: Strategy,
    pub clients: Vec<Vec<Ask>>,
    pub rows: usize,
    pub processes: usize,
    /// Whether all clients begin at one time, as scripted ones do, or each at any.
    pub together: bool,
    pub fault: Option<Fault>,
    /// Steps whose bound is lifted.
    pub pauses: u8,
    /// In seconds; 0 is never.
    pub ttl: i64,
    /// Of a stub, or a lock.
    pub lease_ttl: i64,
    /// Of the delayed second delete.
    pub delay: i64,
    pub cache_timeout: i64,
    pub database_timeout: i64,
    pub clock: Clock,
}

/// What a caller was told. A row is its version; each commit counts one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// What was read, and how many commits the row had when the read's first step took effect.
    Read {
        row: usize,
        found: Option<u8>,
        known: u8,
    },
    /// What was committed, if anything.
    Wrote {
        row: usize,
        version: Option<u8>,
    },
    Failed {
        row: usize,
        version: Option<u8>,
    },
    /// The process died.
    Nothing,
}

/// What a schedule comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    pub told: Vec<Vec<Told>>,
    /// How many commits each row had, and whether it is gone.
    pub rows: Vec<(u8, bool)>,
    pub entries: Vec<Option<u8>>,
    /// Modifies (client, operation, row) that committed over what they had not read.
    pub unseen: Vec<(usize, usize, usize)>,
}

/// What all schedules come to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    pub ends: BTreeSet<End>,
    pub schedules: u64,
    /// Whether in some schedule a fault, an expiry, or a pause that the pattern takes took effect.
    pub faulted: bool,
    pub expired: bool,
    pub slept: bool,
}
