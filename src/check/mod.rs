//! Checks: what a history says about the cache. They see only the history (the audit also
//! what cache and database hold in the end) and return plain data.
//!
//! - [`audit`]: each key at the end, cache against database;
//! - [`cause`]: how a bad entry came to be, and the hazard's name;
//! - [`exposure`]: for how long the cache differed, read or not;
//! - [`reads`]: how stale what was read was.

pub mod audit;
pub mod cause;
pub mod exposure;
pub mod reads;
mod states;

pub use states::States;
