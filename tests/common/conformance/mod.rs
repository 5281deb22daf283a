//! One suite for every cache and every database, models included: what each command of the
//! traits answers. `cache` and `database` have the cases; where an implementation may answer
//! otherwise stands there in a table, with the reason. Here is the list of implementations.
//!
//! Random sequences, compared with the real servers byte by byte and statement by statement,
//! are in `memcached_differential` and `database_differential*`; these cases are few, and run on
//! all of them through the traits.
#![allow(dead_code, reason = "each test uses its own part")]

pub mod cache;
pub mod database;

/// Every implementation of `Cache`: the type, and the names under which the suite runs it.
pub const CACHES: [(&str, &[&str]); 2] =
    [("Nodes", &["model"]), ("Memcached", &["memcached", "memcached ascii", "memcached binary"])];

/// Every implementation of `Database`.
pub const DATABASES: [(&str, &[&str]); 4] = [
    ("Model", &["model:sqlite"]),
    ("Postgres", &["model:postgres", "model:postgres-rr"]),
    ("Sqlite", &["sqlite in memory", "sqlite in a file"]),
    ("Sessions", &["postgres", "mariadb"]),
];
