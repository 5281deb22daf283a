//! Histories as pictures: an operation a line, its interval by columns.
//!
//! ```text
//! initial k=0
//! c0: write k=1   |--|
//! c1: read k=-       |----|      (nothing was there)
//! c2: write k=2     |---?        (unknown)
//! c2: write k=3  |--x            (failed)
//! c3: delete k   |               (a point)
//! ```
//!
//! Behind the interval: `group=g version=3 hit miss effect=none`.
#![allow(dead_code, reason = "each test uses its own part")]

pub mod random;

use staleproof::check::linear::{self, LIMIT, Verdict, verify};
use staleproof::check::values::Values;
use staleproof::history::log::{Extra, Kind, Log, Op};
use staleproof::history::record::Effect;
use staleproof::operation::Outcome;
use staleproof::time::Time;

/// Reads a picture.
pub fn history(picture: &str) -> Log {
    let mut log = Log::default();
    for line in picture.lines().filter(|line| !line.trim().is_empty()) {
        match line.trim().strip_prefix("initial ") {
            Some(pairs) => pairs.split_whitespace().for_each(|pair| {
                let (key, value) = pair.split_once('=').expect("KEY=VALUE");
                let key = log.intern_key(key.as_bytes());
                log.initial[key.0 as usize] = log.intern_value(key, Some(value.as_bytes()));
            }),
            None => operation(&mut log, line),
        }
    }
    log
}

fn operation(log: &mut Log, line: &str) {
    let start = line.find('|').unwrap_or_else(|| panic!("no interval in {line}"));
    let rest = &line[start + 1..];
    let dashes = rest.len() - rest.trim_start_matches('-').len();
    let closing = rest[dashes..].chars().next().unwrap_or(' ');
    let end = if dashes == 0 && closing == ' ' { start } else { start + dashes + 1 };
    let outcome = match closing {
        '?' => Outcome::Unknown,
        'x' => Outcome::Failed,
        _ => Outcome::Ok,
    };
    let mut words = line[..start].split_whitespace();
    let client = words.next().and_then(|word| word.strip_prefix('c')?.strip_suffix(':'));
    let client = client.unwrap_or_else(|| panic!("no client in {line}")).parse().unwrap();
    let (verb, target) = (words.next().unwrap(), words.next().unwrap());
    let (key, value) = target.split_once('=').unwrap_or((target, "-"));
    let key = log.intern_key(key.as_bytes());
    let value = log.intern_value(key, (value != "-").then_some(value.as_bytes()));
    let kind = match verb {
        "read" => Kind::Read,
        "write" | "delete" => Kind::Write,
        other => panic!("{other} in {line}"),
    };
    let mut extra = Extra::default();
    for word in rest.split_whitespace().filter(|word| !word.starts_with(['-', '|', '?', 'x'])) {
        match word.split_once('=') {
            Some(("group", name)) => extra.group = log.intern_group(name.as_bytes()),
            Some(("version", number)) => extra.version = Some(number.parse().unwrap()),
            Some(("effect", "none")) => extra.effect = Some(Effect::None),
            Some(("effect", "unknown")) => extra.effect = Some(Effect::Unknown),
            Some(("effect", "committed")) => extra.effect = Some(Effect::Committed),
            None if word == "hit" => extra.hit = Some(true),
            None if word == "miss" => extra.hit = Some(false),
            _ => panic!("{word} in {line}"),
        }
    }
    let client = log.intern_client(client);
    let ends = if outcome == Outcome::Unknown { Time::NEVER } else { Time(end as u64) };
    let op = Op { start: Time(start as u64), end: ends, key, client, value, kind, outcome };
    log.push(op, extra);
}

/// The history must be linearizable, and an order must prove it.
pub fn accepts(name: &str, picture: &str) {
    let log = history(picture);
    let judgement = linear::judge_log(&log, LIMIT);
    assert!(judgement.violated.is_empty(), "{name}: {judgement:?}");
    assert!(judgement.unknown.is_empty(), "{name}: {judgement:?}");
    let values = Values::of(&log);
    for key in 0..log.keys() {
        let key = staleproof::history::record::KeyId(key as u32);
        let ops: Vec<Op> = values.ops(key).iter().map(|place| log.ops[*place as usize]).collect();
        let initial = log.initial[key.0 as usize];
        let order = linear::linearization(&ops, initial, LIMIT).expect(name);
        assert_eq!(verify::order(&ops, initial, &order), Ok(()), "{name}");
    }
}

/// The history must not be linearizable, the proof have so many operations, and hold.
pub fn rejects(name: &str, proof: usize, picture: &str) {
    let log = history(picture);
    let mut violated = 0;
    let values = Values::of(&log);
    for key in 0..log.keys() {
        let key = staleproof::history::record::KeyId(key as u32);
        let ops: Vec<Op> = values.ops(key).iter().map(|place| log.ops[*place as usize]).collect();
        let initial = log.initial[key.0 as usize];
        match linear::judge(&ops, initial) {
            Verdict::Violated(violation) => {
                assert_eq!(verify::violation(&ops, initial, &violation), Ok(()), "{name}");
                assert_eq!(violation.ops.len(), proof, "{name}: {violation:?}");
                violated += 1;
            }
            Verdict::Holds => {}
            Verdict::Unknown(limit) => panic!("{name}: {limit:?}"),
        }
    }
    assert_eq!(violated, 1, "{name} is accepted");
}
