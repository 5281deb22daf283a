//! staleproof proves, or breaks, the way an application keeps a memcached copy of its
//! database rows.

pub mod backend;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod entity;
pub mod fault;
pub mod history;
pub mod operation;
pub mod pattern;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod seed;
pub mod step;
pub mod time;
#[cfg(feature = "serve")]
pub mod wire;

#[cfg(feature = "cli")]
pub use cli::main;
