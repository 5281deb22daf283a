//! The PostgreSQL profiles of the database model against the real server: random interleaved
//! transactions on three connections, compared statement by statement (replies, who waits,
//! who is woken, who is aborted, what is in the tables in the end).
//!
//! `STALEPROOF_SEQUENCES` says how many (400 for each isolation level by default). A mismatch
//! is repeated, since two statements that one commit wakes race at the real server; what
//! differs each time is shrunk to the fewest statements that still show it.
#![cfg(feature = "postgres")]

use std::collections::BTreeMap;

use crate::database_moves::{Move, play, random_move};
use staleproof::backend::Database;
use staleproof::backend::postgres;
use staleproof::backend::postgres_model::Postgres;
use staleproof::backend::url::ServerPlace;
use staleproof::seed::Seed;
use staleproof::step::Isolation;

const STATEMENTS: u64 = 16;
/// Races at the real server are decided by its scheduler; this often it may differ.
const REPETITIONS: u32 = 4;

/// What both answered, when they differ each time.
fn differ(
    real: &mut dyn Database,
    isolation: Isolation,
    moves: &[Move],
    outcomes: &mut BTreeMap<String, u64>,
) -> Option<(Vec<String>, Vec<String>)> {
    let model = play(&mut Postgres::new(isolation), moves, outcomes);
    let mut answered = Vec::new();
    for _ in 0..REPETITIONS {
        answered = play(real, moves, &mut BTreeMap::new());
        if model == answered {
            return None;
        }
        *outcomes.entry("repeated".to_owned()).or_insert(0) += 1;
    }
    Some((model, answered))
}

/// Leaves out statements as long as the two still differ.
fn shrink(real: &mut dyn Database, isolation: Isolation, mut moves: Vec<Move>) -> Vec<Move> {
    let mut place = 0;
    while place < moves.len() {
        let mut fewer = moves.clone();
        fewer.remove(place);
        match differ(real, isolation, &fewer, &mut BTreeMap::new()) {
            Some(_) => moves = fewer,
            None => place += 1,
        }
    }
    moves
}

fn compare(isolation: Isolation) {
    let required = std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_some();
    let mut real = match postgres::open(&ServerPlace::Own(None), isolation) {
        Ok(real) => real,
        Err(error) if !required => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let number = std::env::var("STALEPROOF_SEQUENCES").ok();
    let sequences: u64 = number.map_or(400, |text| text.parse().unwrap());
    let mut outcomes = BTreeMap::new();
    for sequence in 0..sequences {
        let seed = Seed(sequence);
        let moves: Vec<Move> = (0..STATEMENTS).map(|n| random_move(seed, n)).collect();
        if differ(&mut *real, isolation, &moves, &mut outcomes).is_some() {
            let smallest = shrink(&mut *real, isolation, moves);
            let both = differ(&mut *real, isolation, &smallest, &mut outcomes);
            let (model, real) = both.expect("what was shrunk differs");
            panic!("sequence {sequence}: {smallest:#?}\nmodel {model:#?}\nPostgreSQL {real:#?}");
        }
    }
    println!("{isolation:?}: {sequences} sequences; command and outcome, how often:");
    for (outcome, count) in &outcomes {
        println!("{count:>9}  {outcome}");
    }
    for seen in ["update waits", "woken", "insert duplicate-key", "update transaction-aborted"] {
        assert!(outcomes.get(seen).is_some_and(|count| *count >= 10), "{seen} was hardly seen");
    }
    let repeated = outcomes.get("repeated").copied().unwrap_or(0);
    assert!(repeated * 20 <= sequences, "{repeated} repetitions are too many to be races");
}

#[test]
fn the_model_behaves_like_postgresql_at_read_committed() {
    compare(Isolation::ReadCommitted);
}

#[test]
fn the_model_behaves_like_postgresql_at_repeatable_read() {
    compare(Isolation::RepeatableRead);
}
