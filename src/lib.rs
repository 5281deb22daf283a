//! staleproof proves, or breaks, the way an application keeps a memcached copy of its
//! database rows.
//!
//! A pattern (read-through, write-through, cache-aside, your own) is a small concurrent program
//! whose steps cross two servers. staleproof runs the pattern's own code under a scheduler that
//! it controls, injects faults, records every step, compares the cache with the database at the
//! end, and says which entries are stale, since when, for how long, and which steps caused it.
//!
//! The stages, each from plain data to plain data: [`scenario`] (what to run and expect) →
//! [`plan`] (every operation, drawn before the run) → [`schedule`] (who goes when) on
//! [`backend`]s → [`history`] → [`check()`](mod@check) (audit, causes, staleness) → [`run`]
//! (verdicts) → [`report`].
//!
//! # In five minutes: a test of your own pattern
//!
//! A pattern is an async function of an operation; [`pattern::Cx`] is its only source of
//! stores, time and randomness, and each `.await` on it is one step.
//!
//! ```
//! use staleproof::operation::{Action, Op, Reply};
//! use staleproof::pattern::{Cx, Failure};
//!
//! async fn my_pattern(cx: &Cx, op: Op) -> Result<Reply, Failure> {
//!     match op.action {
//!         Action::Read(id) => {
//!             let key = cx.key(id);
//!             if let Some(hit) = cx.cache.get(&key).await? {
//!                 return Ok(Reply::Row(Some(cx.open(&hit)?)));
//!             }
//!             let row = cx.db.select(id).await?;
//!             if let Some(row) = &row {
//!                 cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
//!             }
//!             Ok(Reply::Row(row))
//!         }
//!         write => Ok(cx.db.apply(&write).await?.reply()), // forgets the cache
//!     }
//! }
//!
//! let broken = staleproof::check(my_pattern).explore(1, 1).is_broken();
//! assert!(broken.to_string().contains("no-invalidation"));
//! ```
//!
//! In a `#[test]` write `.holds()` instead: it panics with the smallest schedule that goes
//! wrong, drawn in lanes, and leaves a counterexample file; see [`suite`].
//! `tests/downstream` is a whole crate that does this, with rows of its own.
//!
//! # A first scenario
//!
//! `staleproof init` writes `first.toml`, with comments; `staleproof run first.toml --report
//! first.html` runs it and makes a page; `staleproof lint first.toml` warns of unsafe settings.
//! `staleproof schema` prints the JSON Schema for an editor. For your own patterns the command
//! line is three lines: [`main`] with a [`pattern::Registry`] that has them.
//!
//! # Reading a report
//!
//! - The *outcome* says whether everything was as the scenario expects; the *claim* is *broken*
//!   (a fact, with a schedule behind it) or *no violation* was *seen* in this sample.
//! - A *finding* is a wrong entry: which step installed it, which commit superseded it, what
//!   became of the invalidation. From these follows the *hazard*'s name.
//! - In the diagram time runs downwards, a lane for each client and server. A red bar on the
//!   cache's lane is a value that the database no longer has.
//! - *Not tested* is no pass: a fault that never took effect, a cache without hits, an expiry
//!   that a real server's clock did not follow.
//! - Times in a simulation are what the scenario put in; a pattern's cost is in round trips.
//!
//! # In CI
//!
//! `staleproof run scenarios --out results` writes JSON, JUnit (`junit.xml`), Markdown for the
//! pull request (`report.md`) and the page. Exit codes: 0 as expected, 1 a verdict differs,
//! 2 wrong input, 3 unknown, 4 nothing was tested, 5 the environment failed. With
//! `--baseline FILE` results are compared with those of the main branch, and a regression exits
//! with 1. `action.yml` is a GitHub Action that does this.
//!
//! What is known and accepted stands in the scenario with a bound, a hazard each:
//!
//! ```toml
//! [accept]
//! commit-to-delete-window = "<= 5ms"   # how long readers may see the old row
//! stale-set = "<= 301s"                # an entry counts until it has expired, in whole seconds
//! cdc-gap = "any"                      # however long, even for ever
//! ```
//!
//! With that table every finding of every run (a bad entry or read, a lost or misreported
//! write) must be of a listed hazard and within its bound; anything else differs. `explore` and
//! `hunt` leave out what is accepted, and so show what else there is. Steps have no lengths
//! there: what is over with the operations is within every bound, and an entry lasts for its
//! TTL and the clock's tick.
//!
//! # Exploration and its bound
//!
//! [`suite::Checked::explore`] and `staleproof explore` search *every* order of the steps of a
//! small program, and every place for a bounded number of faults. *Holds* is a proof for that
//! bound (so many clients, operations, keys, faults) on the models, and says nothing beyond it;
//! *violated* comes with a smallest schedule; *unknown* says which limit was reached.
//! Seeds ([`suite::Checked::seeds`]) sample larger programs and prove nothing.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `cli` | yes | the binary and [`main`] |
//! | `sqlite` | yes | real SQLite (compiles C) |
//! | `memcached` | yes | real memcached servers |
//! | `serve` | yes | `staleproof serve`, an embedded memcached with faults |
//! | `postgres` | yes | real PostgreSQL |
//! | `mariadb` | yes | real MariaDB |
//! | `proptest` | no | strategies for property tests, `suite::strategies` |

pub mod backend;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod entity;
pub mod explore;
pub mod fault;
pub mod hazard;
pub mod history;
#[cfg(all(feature = "memcached", feature = "serve"))]
pub mod load;
pub mod metric;
pub mod operation;
pub mod parallel;
pub mod pattern;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod seed;
pub mod step;
pub mod suite;
pub mod time;
#[cfg(feature = "serve")]
pub mod wire;

#[cfg(feature = "cli")]
pub use cli::main;
pub use suite::check;
