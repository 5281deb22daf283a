//! Checks: what a history says about the cache. They see only the history (the audit also
//! what was read of cache and database in the end), ask no server, and return plain data.
//!
//! - [`audit`]: each key at the end, cache against database;
//! - [`cause`]: how a bad entry came to be, and the hazard's name;
//! - [`incidents`]: everything that went wrong, each with its hazard;
//! - [`exposure`]: for how long the cache differed, read or not;
//! - [`linear`]: whether one order of a key's operations explains everything read;
//! - [`reads`]: how stale what was read was.
//!
//! These judge histories of any source ([`Log`](crate::history::log::Log)) and have one shape,
//! `judge(log, values) -> Found`: [`sessions`], [`updates`] (lost updates), [`durability`],
//! [`phantoms`], [`torn`] (views of several keys), [`versions`] (a second opinion);
//! [`staleness`] measures, [`values`] has what they share,
//! and [`online`] judges a history while it grows.

pub mod audit;
pub mod cause;
pub mod durability;
pub mod exposure;
pub mod found;
pub mod healed;
pub mod incidents;
pub mod linear;
pub mod online;
pub mod phantoms;
pub mod reads;
pub mod sessions;
pub mod staleness;
pub(crate) mod states;
pub mod torn;
pub mod updates;
pub mod values;
pub mod versions;

pub use states::States;
