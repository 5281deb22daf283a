//! What needs memcached, PostgreSQL or MariaDB, or other programs as clients.
//!
//! All of these share one process, and so one private server of a kind: a test that restarts it,
//! or looks at its own process, has a binary of its own beside this one.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/conformance/mod.rs"]
mod conformance;
#[path = "../common/database_moves.rs"]
mod database_moves;

mod conformance_servers;
mod database_differential_postgres;
mod database_given;
mod database_real;
mod real_load;
mod real_memcached;
mod real_replay;
mod serve_interop;
mod serve_stats;
