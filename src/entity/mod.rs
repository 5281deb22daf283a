//! What is cached: the application's rows, their keys, expiry and encoding.
//!
//! [`Entity`] is the one trait that a user implements for a schema of their own; [`Product`]
//! is the first implementation. Around the application's bytes every cached value has an
//! [`envelope`] that names its writer, so that stale, ahead, foreign and corrupt values are
//! told apart without side tables, in simulation as on real servers.

pub mod envelope;
mod product;

pub use product::Product;

use rand_chacha::ChaCha8Rng;

use crate::step::{Columns, Key, RowId, Table, TableSpec, Ttl, Value};

/// An application's rows and how they are cached.
pub trait Entity: Send + Sync {
    /// The name by which scenario files choose it.
    fn name(&self) -> &'static str;

    /// The tables, at least one; operations are on the first unless a pattern says otherwise.
    fn tables(&self) -> Vec<TableSpec>;

    /// The cache key of a row: at most 250 bytes, no spaces, no control characters.
    fn key(&self, table: Table, id: RowId) -> Key;

    /// The expiry of a cached row where the scenario does not say another.
    fn ttl(&self) -> Ttl;

    /// The first contents of a row, from the stream given and nothing else.
    fn contents(&self, table: Table, id: RowId, random: &mut ChaCha8Rng) -> Columns;

    /// What an update writes over a row whose first contents were `first`; different draws
    /// should give different contents.
    fn change(&self, table: Table, first: &Columns, draw: u64) -> Columns;

    /// Appends the columns' encoding to `out`.
    fn encode(&self, columns: &[Value], out: &mut Vec<u8>);

    /// The columns that were encoded, or `None` when the bytes are not an encoding.
    fn decode(&self, bytes: &[u8]) -> Option<Columns>;
}
