//! What a statement on the database model reports to have touched is what decides whether it
//! may be exchanged with another: from random states, two moves of different connections
//! with independent footprints give the same replies and the same state in both orders.

use std::collections::BTreeMap;
use std::hash::Hasher;

use crate::database_moves::{CONNECTIONS, Move, initial, random_move, tables};
use rustc_hash::FxHasher;
use staleproof::backend::database_model::Model;
use staleproof::backend::postgres_model::Postgres;
use staleproof::backend::{Database, Submitted};
use staleproof::seed::Seed;
use staleproof::step::{ConnectionId, DbReply, Footprint, Isolation, Row, Table};

const STATES: u64 = 15_000;

/// Who was answered what, in the order of the answers.
type Replies = Vec<(ConnectionId, DbReply)>;

fn connection(step: &Move) -> ConnectionId {
    match step {
        Move::Submit(connection, _) | Move::Close(connection) => *connection,
    }
}

/// A model, in one of its profiles.
trait Explored: Database + Clone {
    fn print(&self) -> u64;
    fn renew(&mut self, rows: &[(Table, Row)]);
}

fn hashed(feed: impl FnOnce(&mut FxHasher)) -> u64 {
    let mut hasher = FxHasher::default();
    feed(&mut hasher);
    hasher.finish()
}

impl Explored for Model {
    fn print(&self) -> u64 {
        hashed(|hasher| Model::fingerprint(self, hasher))
    }

    fn renew(&mut self, rows: &[(Table, Row)]) {
        Model::reset(self, rows);
    }
}

impl Explored for Postgres {
    fn print(&self) -> u64 {
        hashed(|hasher| self.fingerprint_as(|connection| u64::from(connection.0), hasher))
    }

    fn renew(&mut self, rows: &[(Table, Row)]) {
        Postgres::reset(self, rows);
    }
}

/// Makes a move; the footprint is of the move and of whomever it wakes.
fn make(
    model: &mut impl Explored,
    step: &Move,
    waiting: &mut Vec<ConnectionId>,
) -> (Replies, Footprint) {
    let mut footprint = Footprint::on();
    let mut replies = Vec::new();
    match step {
        Move::Submit(connection, command) => {
            match model.submit(*connection, command, &mut footprint).unwrap() {
                Submitted::Done(reply) => replies.push((*connection, reply)),
                Submitted::Blocked => waiting.push(*connection),
            }
        }
        Move::Close(connection) => {
            waiting.retain(|waiting| waiting != connection);
            model.close(*connection, &mut footprint).unwrap();
        }
    }
    let woken = model.woken(&mut footprint).unwrap();
    waiting.retain(|waiting| woken.iter().all(|(woken, _)| woken != waiting));
    replies.extend(woken);
    (replies, footprint)
}

/// A model after some moves, and whose statements wait in it.
fn state<M: Explored>(new: &M, seed: Seed) -> (M, Vec<ConnectionId>) {
    let mut model = new.clone();
    model.create(&tables(), &initial()).unwrap();
    let mut waiting = Vec::new();
    for number in 0..seed.0 % 16 {
        let step = random_move(seed, number);
        if !waiting.contains(&connection(&step)) || matches!(step, Move::Close(_)) {
            make(&mut model, &step, &mut waiting);
        }
    }
    (model, waiting)
}

/// What both orders of two moves lead to: each connection's replies, and the state.
fn both<M: Explored>(
    model: &M,
    waiting: &[ConnectionId],
    first: &Move,
    second: &Move,
) -> (Replies, u64) {
    let (mut model, mut waiting) = (model.clone(), waiting.to_vec());
    let (mut replies, _) = make(&mut model, first, &mut waiting);
    replies.extend(make(&mut model, second, &mut waiting).0);
    replies.sort_by_key(|(connection, _)| *connection);
    (replies, model.print())
}

/// At least so many percent of the pairs that commute have to be called independent.
fn independent_moves_commute(new: &impl Explored, percent: u64) {
    let (mut independent, mut commuting) = (0u64, 0u64);
    for number in 0..STATES {
        let seed = Seed(number);
        let (model, waiting) = state(new, seed);
        let moves = (100..100 + 2 * CONNECTIONS).map(|number| random_move(seed, number));
        let possible = |step: &Move| !waiting.contains(&connection(step));
        let moves: Vec<Move> = moves.filter(possible).collect();
        for (place, a) in moves.iter().enumerate() {
            for b in moves[place + 1..].iter().filter(|b| connection(b) != connection(a)) {
                let (_, of_a) = make(&mut model.clone(), a, &mut waiting.clone());
                let (_, of_b) = make(&mut model.clone(), b, &mut waiting.clone());
                let (ab, ba) = (both(&model, &waiting, a, b), both(&model, &waiting, b, a));
                commuting += u64::from(ab == ba);
                if of_a.independent_of(&of_b) {
                    independent += 1;
                    assert_eq!(ab, ba, "state {number}: {a:?} {of_a:?} and {b:?} {of_b:?}");
                }
            }
        }
    }
    println!("{independent} independent pairs of {commuting} that commute");
    // Footprints that call everything dependent would be sound, and useless.
    assert!(independent * 100 > commuting * percent, "{independent} of {commuting}");
}

fn what_has_one_fingerprint_answers_alike<M: Explored>(new: &M) {
    let mut seen: BTreeMap<u64, (M, Vec<ConnectionId>)> = BTreeMap::new();
    let mut met = 0u64;
    for number in 0..STATES {
        // Few first moves, in many orders, so that states meet again.
        let (mut model, mut waiting) = state(new, Seed(number % 7 + number / 16 * 16));
        let print = model.print();
        let Some((other, others_waiting)) = seen.get(&print) else {
            seen.insert(print, (model, waiting));
            continue;
        };
        met += 1;
        let (mut other, mut others_waiting) = (other.clone(), others_waiting.clone());
        for further in 200..212 {
            let step = random_move(Seed(number), further);
            if waiting.contains(&connection(&step)) && !matches!(step, Move::Close(_)) {
                continue;
            }
            let (one, _) = make(&mut model, &step, &mut waiting);
            let (two, _) = make(&mut other, &step, &mut others_waiting);
            assert_eq!(one, two, "state {number}: {step:?}");
        }
        assert_eq!(model.print(), other.print(), "state {number}");
    }
    assert!(met > 1_000, "only {met} states met another");
}

fn a_reset_model_is_a_new_one(new: &impl Explored) {
    for number in 0..1_000 {
        let (mut model, _) = state(new, Seed(number));
        model.renew(&initial());
        let mut fresh = new.clone();
        fresh.create(&tables(), &initial()).unwrap();
        assert_eq!(model.print(), fresh.print(), "state {number}");
    }
}

fn hold(new: &impl Explored, percent: u64) {
    a_reset_model_is_a_new_one(new);
    what_has_one_fingerprint_answers_alike(new);
    independent_moves_commute(new, percent);
}

#[test]
fn footprints_and_fingerprints_of_the_sqlite_profile_hold() {
    hold(&Model::new(), 80);
}

#[test]
fn footprints_and_fingerprints_of_read_committed_hold() {
    hold(&Postgres::new(Isolation::ReadCommitted), 60);
}

#[test]
fn footprints_and_fingerprints_of_repeatable_read_hold() {
    hold(&Postgres::new(Isolation::RepeatableRead), 60);
}
