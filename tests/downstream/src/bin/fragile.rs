//! A binary of whose rows some cannot be made: a user's code that panics outside an operation.

use std::process::ExitCode;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use staleproof::entity::Entity;
use staleproof::step::{Columns, Key, RowId, Table, TableSpec, Ttl, Value};

struct Fragile;

impl Entity for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn tables(&self) -> Vec<TableSpec> {
        vec![TableSpec { name: "fragile".to_owned(), columns: Vec::new() }]
    }

    fn key(&self, _: Table, id: RowId) -> Key {
        Key::from(format!("f/{}", id.0))
    }

    fn ttl(&self) -> Ttl {
        Ttl::NEVER
    }

    fn contents(&self, _: Table, _: RowId, random: &mut ChaCha8Rng) -> Columns {
        assert!(random.random_range(0..8) > 0, "no contents today");
        Arc::new([])
    }

    fn change(&self, _: Table, _: &Columns, _: u64) -> Columns {
        Arc::new([])
    }

    fn encode(&self, _: &[Value], _: &mut Vec<u8>) {}

    fn decode(&self, _: &[u8]) -> Option<Columns> {
        Some(Arc::new([]))
    }
}

fn main() -> ExitCode {
    staleproof::main(downstream::registry().entity(Fragile))
}
