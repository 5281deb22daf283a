//! The memcached protocols: bytes to commands, replies to bytes, and a server.
//!
//! Three protocols share a port, as on the real server: the first byte of a connection
//! tells binary from text, and the meta commands are part of text. A [`Session`] is what a
//! connection remembers; it makes [`Request`]s of bytes, [`perform`] executes one on a
//! [`Node`](crate::backend::memcached_model::Node) and writes the reply. Nothing in it does
//! input or output, so the same code serves sockets, tests and property tests. [`reply`]
//! reads the other direction, what a server says.
//!
//! What the real server says to malformed input is said here too, byte by byte, and the
//! stream stays in step, or falls out of step, exactly as there. It is held to the real
//! server by `tests/memcached_differential/`, where `exempt.rs` lists what differs.

mod binary;
mod binary_reply;
#[cfg(all(test, feature = "memcached"))]
mod both_ways;
mod classic;
mod counters;
mod meta;
mod perform;
mod prefixes;
mod render;
mod request;
pub mod server;
mod session;
mod stats;
mod tokens;

pub use crate::backend::reply;
pub use perform::perform;
pub use request::{Framing, Request, Work};
pub use session::{Action, Parsed, Session};
