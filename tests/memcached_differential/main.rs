//! The model and the wire format against the real memcached, byte by byte.
//!
//! Random requests of all three protocols go over three connections, one at a time, to a
//! memcached that the test starts, and to a [`Node`] behind a [`Session`]. Every reply must
//! be the same; a difference is shrunk to few requests. What is exempt stands in
//! `exempt.rs`. `STALEPROOF_DIFFERENTIAL` is the number of requests (default 500,000),
//! `STALEPROOF_SEED` the seed, and with `STALEPROOF_REQUIRE_SERVERS=1` a machine without
//! memcached is a failure rather than a skip.

mod exempt;
mod generate;
mod malformed;
mod pair;
mod quirks;
mod server;
mod time;

use std::collections::BTreeMap;

use generate::{Generator, Request};
use pair::{Difference, Pair};
use server::Server;
use staleproof::seed::Seed;

/// Requests of one sequence; each sequence has keys of its own.
const SEQUENCE: usize = 60;
/// How often each pair of command and outcome must be seen in a run of the default size.
const SEEN_MIN: usize = 100;
const REQUESTS: usize = 500_000;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn model_and_memcached_answer_alike() {
    let Some(server) = Server::start(&[]) else { return };
    let seed = number("STALEPROOF_SEED", 1);
    let requests = number("STALEPROOF_DIFFERENTIAL", REQUESTS as u64) as usize;
    let mut pair = Pair::new(&server);
    let mut coverage: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut generator = Generator::new(Seed(seed));
    let mut done = 0;
    while done < requests {
        let sequence: Vec<Request> = (0..SEQUENCE).map(|_| generator.request()).collect();
        if let Err(difference) = pair.run(&sequence, Some(&mut coverage)) {
            let (smallest, difference) = shrink(&mut pair, sequence, difference);
            panic!("seed {seed}, request {done}:\n{}", show(&smallest, &difference));
        }
        done += sequence.len();
    }
    let rare = print(&coverage, done);
    assert!(done < REQUESTS || rare.is_empty(), "seen less than {SEEN_MIN} times: {rare:?}");
}

#[test]
fn a_planted_difference_is_found_and_shrunk() {
    let Some(server) = Server::start(&[]) else { return };
    let mut pair = Pair::new(&server);
    pair.planted = true;
    let mut generator = Generator::new(Seed(1));
    for _ in 0..1_000 {
        let sequence: Vec<Request> = (0..SEQUENCE).map(|_| generator.request()).collect();
        if let Err(difference) = pair.run(&sequence, None) {
            let (smallest, difference) = shrink(&mut pair, sequence, difference);
            assert!(smallest.len() <= 3, "{}", show(&smallest, &difference));
            return;
        }
    }
    panic!("the planted difference was not found");
}

/// Leaves out requests, many at first, as long as there is a difference.
fn shrink(
    pair: &mut Pair<'_>,
    mut sequence: Vec<Request>,
    mut difference: Difference,
) -> (Vec<Request>, Difference) {
    sequence.truncate(difference.at + 1);
    let mut width = sequence.len().div_ceil(2);
    loop {
        let mut from = 0;
        while from < sequence.len() {
            let mut fewer = sequence.clone();
            fewer.drain(from..(from + width).min(sequence.len()));
            match pair.run(&fewer, None) {
                Err(found) => {
                    fewer.truncate(found.at + 1);
                    sequence = fewer;
                    difference = found;
                }
                Ok(()) => from += width,
            }
        }
        if width == 1 {
            return (sequence, difference);
        }
        width = width.div_ceil(2);
    }
}

fn show(sequence: &[Request], difference: &Difference) -> String {
    let mut text = String::new();
    for (number, request) in sequence.iter().enumerate() {
        text += &format!("  {number}: {request}\n");
    }
    text + &format!(
        "memcached: {}\nmodel:     {}",
        generate::readable(&difference.real),
        generate::readable(&difference.model)
    )
}

fn print(coverage: &BTreeMap<(String, String), usize>, done: usize) -> Vec<(String, String)> {
    println!("{done} requests, 0 differences");
    println!("{:<22} {:<44} {:>8}", "command", "outcome", "seen");
    for ((command, outcome), seen) in coverage {
        println!("{command:<22} {outcome:<44} {seen:>8}");
    }
    coverage
        .iter()
        .filter(|((_, outcome), seen)| **seen < SEEN_MIN && outcome != "as text")
        .map(|(pair, _)| pair.clone())
        .collect()
}
