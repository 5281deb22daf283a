//! proptest strategies for workloads, faults and whole cases, behind the feature `proptest`.
//!
//! They shrink to fewer operations, then to reads, then to lower rows; the schedule is not
//! part of a case: `Checked::verdict` searches schedules anew for each.
//!
//! ```
//! use proptest::prelude::*;
//! use staleproof::pattern::Registry;
//! use staleproof::suite::strategies::{Sizes, case};
//!
//! proptest!(ProptestConfig::with_cases(8), |(case in case(Sizes::default()))| {
//!     let checked = staleproof::suite::check_in(Registry::built_in(), "no-cache");
//!     let verdict = checked.seeds(10).case(&case).tolerant().verdict();
//!     prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
//! });
//! ```

use proptest::prelude::{BoxedStrategy, Just, Strategy};
use proptest::{collection, option, prop_oneof};

use super::Checked;
use crate::fault::{Fault, What};

/// How large cases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Clients at most.
    pub clients: usize,
    /// Operations of a client at most.
    pub operations: usize,
    /// Rows.
    pub rows: u32,
    /// Faults at most.
    pub faults: usize,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { clients: 3, operations: 4, rows: 2, faults: 1 }
    }
}

/// One case: what is asked, and what goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The operations of each client, as lines of a script.
    pub scripts: Vec<Vec<String>>,
    /// The faults.
    pub faults: Vec<Fault>,
}

/// A line of a script: reads shrink last, because nothing is simpler.
pub fn operation(rows: u32) -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        6 => Just("read"),
        4 => Just("update"),
        1 => Just("modify"),
        1 => Just("delete"),
        1 => Just("insert"),
    ];
    let pause = option::weighted(0.3, 1u32..2_000);
    (kind, 0..rows.max(1), pause).prop_map(|(kind, row, pause)| match pause {
        Some(micros) => format!("{kind} {row} after {micros}us"),
        None => format!("{kind} {row}"),
    })
}

/// The operations of each client.
pub fn workload(sizes: Sizes) -> impl Strategy<Value = Vec<Vec<String>>> {
    let script = collection::vec(operation(sizes.rows), 0..=sizes.operations.max(1));
    collection::vec(script, 1..=sizes.clients.max(1))
}

/// A fault at a step: the n-th match of a command.
pub fn fault() -> impl Strategy<Value = Fault> {
    let what = prop_oneof![
        Just(What::Refuse),
        Just(What::LoseRequest),
        Just(What::LoseReply),
        Just(What::DeliverLate),
        Just(What::Cancel),
        Just(What::Crash),
    ];
    let on = prop_oneof![
        Just("cache.set"),
        Just("cache.delete"),
        Just("cache.get"),
        Just("db.commit"),
        Just("db.select"),
    ];
    (what, on, 1u64..4).prop_map(|(what, on, nth)| {
        let fault = Fault::on(what, on).expect("these are steps");
        Fault { nth: Some(nth), ..fault }
    })
}

/// A list of faults.
pub fn faults(sizes: Sizes) -> BoxedStrategy<Vec<Fault>> {
    collection::vec(fault(), 0..=sizes.faults).boxed()
}

/// A whole case.
pub fn case(sizes: Sizes) -> impl Strategy<Value = Case> {
    (workload(sizes), faults(sizes)).prop_map(|(scripts, faults)| Case { scripts, faults })
}

impl Checked {
    /// The operations and the faults of a case.
    pub fn case(self, case: &Case) -> Checked {
        self.scripts(case.scripts.clone()).faults(case.faults.clone())
    }
}
