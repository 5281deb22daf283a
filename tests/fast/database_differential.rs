//! The database model against the real SQLite: random interleaved transactions on three
//! connections, compared statement by statement (replies, who waits, who is woken in which
//! order, what is in the tables in the end).
//!
//! 40,000 sequences in each run; `STALEPROOF_LONG=1` makes it a million. A mismatch is
//! shrunk to the fewest statements that still show it.
#![cfg(feature = "sqlite")]

use std::collections::BTreeMap;

use crate::database_moves::{Move, play, random_move};
use staleproof::backend::database_model::Model;
use staleproof::backend::sqlite::Sqlite;
use staleproof::seed::Seed;

const STATEMENTS: u64 = 14;

fn differ(sqlite: &mut Sqlite, moves: &[Move]) -> Option<(Vec<String>, Vec<String>)> {
    let mut ignored = BTreeMap::new();
    let model = play(&mut Model::new(), moves, &mut ignored);
    let real = play(sqlite, moves, &mut ignored);
    (model != real).then_some((model, real))
}

/// Leaves out statements as long as the two still differ.
fn shrink(sqlite: &mut Sqlite, mut moves: Vec<Move>) -> Vec<Move> {
    let mut place = 0;
    while place < moves.len() {
        let mut fewer = moves.clone();
        fewer.remove(place);
        match differ(sqlite, &fewer) {
            Some(_) => moves = fewer,
            None => place += 1,
        }
    }
    moves
}

/// Plays each sequence on both, and counts what happened.
fn compare(sequences: impl Iterator<Item = u64>) -> BTreeMap<String, u64> {
    let mut sqlite = Sqlite::temporary().unwrap();
    let mut outcomes = BTreeMap::new();
    for sequence in sequences {
        let seed = Seed(sequence);
        let moves: Vec<Move> = (0..STATEMENTS).map(|n| random_move(seed, n)).collect();
        let model = play(&mut Model::new(), &moves, &mut outcomes);
        let real = play(&mut sqlite, &moves, &mut BTreeMap::new());
        if model != real {
            let smallest = shrink(&mut sqlite, moves);
            let (model, real) = differ(&mut sqlite, &smallest).unwrap();
            panic!("sequence {sequence}: {smallest:#?}\nmodel {model:#?}\nSQLite {real:#?}");
        }
    }
    outcomes
}

#[test]
fn the_model_behaves_like_the_real_sqlite() {
    let long = std::env::var_os("STALEPROOF_LONG").is_some();
    let sequences: u64 = if long { 1_000_000 } else { 40_000 };
    let lanes = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let shares: Vec<_> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| (lane..sequences).step_by(lanes as usize))
            .map(|share| scope.spawn(move || compare(share)))
            .collect();
        lanes.into_iter().map(|lane| lane.join().expect("it says why above")).collect()
    });
    let mut outcomes = BTreeMap::new();
    for (outcome, count) in shares.into_iter().flatten() {
        *outcomes.entry(outcome).or_insert(0) += count;
    }
    println!("{sequences} sequences; command and outcome, how often:");
    for (outcome, count) in &outcomes {
        println!("{count:>9}  {outcome}");
    }
    for seen in ["update waits", "update serialization", "woken", "insert duplicate-key"] {
        assert!(outcomes.get(seen).is_some_and(|count| *count >= 100), "{seen} was hardly seen");
    }
}
