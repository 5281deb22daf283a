//! Every measure against a naive oracle that follows its definition, over random histories;
//! and the size of proofs among values against all sets of operations.
//!
//! The oracles look at all pairs of operations, or at all orders, and share nothing with the
//! checkers but the definition of an operation. `STALEPROOF_LONG=1` tries fifty times as many.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Verdict};
use staleproof::check::staleness::{self, Delta, SINCE};
use staleproof::check::values::Values;
use staleproof::check::{durability, phantoms, sessions, torn, updates, versions};
use staleproof::history::log::{Extra, Fault, Kind, Log, Op, Value};
use staleproof::history::record::{Effect, KeyId};
use staleproof::operation::Outcome;
use staleproof::time::Time;

/// What histories are drawn.
#[derive(Clone, Copy)]
struct Family {
    /// Percent of writes whose value was written before, and of deletes.
    again: u32,
    versions: bool,
    size: usize,
}

const FAMILIES: [Family; 3] = [
    Family { again: 0, versions: false, size: 12 },
    Family { again: 40, versions: false, size: 12 },
    Family { again: 0, versions: true, size: 12 },
];

fn each(times: u64, mut check: impl FnMut(&Log, &Values)) {
    let times = if std::env::var_os("STALEPROOF_LONG").is_some() { 50 * times } else { times };
    for family in FAMILIES {
        for seed in 0..times {
            let log = draw(&family, &mut ChaCha8Rng::seed_from_u64(seed));
            check(&log, &Values::of(&log));
        }
    }
}

/// Clients that mostly take turns on two keys; reads return any value that was drawn.
fn draw(family: &Family, rng: &mut ChaCha8Rng) -> Log {
    let mut log = Log::default();
    let clients: Vec<_> = (0..3).map(|number| log.intern_client(number)).collect();
    let mut free = [0u64; 3];
    for name in ["k", "l"] {
        let key = log.intern_key(name.as_bytes());
        let initial = rng.random_bool(0.5).then_some(&b"0"[..]);
        log.initial[key.0 as usize] = log.intern_value(key, initial);
    }
    for number in 0..rng.random_range(2..=family.size) {
        let key = KeyId(u32::from(rng.random_bool(0.2)));
        let client = rng.random_range(0..3usize);
        // Now and then from time zero on, at the end of the one before, or before it.
        let start = free[client].saturating_sub(rng.random_range(0..2)) + rng.random_range(0..4u64);
        let end = start + rng.random_range(0..6u64);
        free[client] = end;
        let write = rng.random_bool(0.5);
        let again = rng.random_range(0..100) < family.again;
        let name = match (write, again) {
            (true, false) => format!("{}", number + 1),
            _ => format!("{}", rng.random_range(0..=number)),
        };
        let absent = rng.random_range(0..100) < family.again / 2;
        let value = log.intern_value(key, (!absent).then_some(name.as_bytes()));
        let kind = if write { Kind::Write } else { Kind::Read };
        let mut op = Op::new(0, kind, value, start, end);
        (op.key, op.client) = (key, clients[client]);
        op = match rng.random_range(0..12) {
            0 => op.unknown(),
            1 => op.failed(),
            _ => op,
        };
        let extra = Extra {
            version: family.versions.then(|| name.parse().unwrap()),
            group: rng.random_range(0..4),
            hit: rng.random_bool(0.5).then(|| rng.random_bool(0.5)),
            effect: (write && rng.random_bool(0.1)).then_some(Effect::None),
            ..Extra::default()
        };
        log.push(op, extra);
    }
    if rng.random_bool(0.5) {
        let at = Time(rng.random_range(1..10));
        let until = Some(Time(at.0 + rng.random_range(0..10)));
        log.faults.push(Fault { what: "x".to_owned(), at, until });
    }
    log
}

fn all(log: &Log) -> impl Iterator<Item = (usize, &Op)> {
    log.ops.iter().enumerate()
}

fn is_ok_write(op: &Op) -> bool {
    op.kind == Kind::Write && op.outcome == Outcome::Ok
}

/// The writes that can have served a read, the start as `None`.
fn sources<'a>(log: &'a Log, read: &Op) -> Vec<Option<&'a Op>> {
    let fits = |op: &&Op| {
        op.key == read.key && op.value == read.value && op.may_write() && op.start <= read.end
    };
    let mut sources: Vec<_> = log.ops.iter().filter(fits).map(Some).collect();
    if log.initial[read.key.0 as usize] == read.value {
        sources.push(None);
    }
    sources
}

/// When what a write (or the start) left had certainly been replaced.
fn gone(log: &Log, key: KeyId, source: Option<&Op>) -> Time {
    let after = |op: &&Op| {
        op.key == key && op.may_write() && source.is_none_or(|source| source.precedes(op))
    };
    log.ops.iter().filter(after).map(Op::deadline).min().unwrap_or(Time::NEVER)
}

/// Whether all that can have served the read had ended before a time.
fn certainly_before(log: &Log, read: &Op, time: Time) -> bool {
    let sources = sources(log, read);
    !sources.is_empty()
        && sources.iter().all(|source| source.is_none_or(|source| source.deadline() < time))
}

#[test]
fn staleness_of_reads_is_that_of_the_definition() {
    each(3_000, |log, values| {
        let measured = staleness::measure(log, values);
        let (mut at_least, mut never, mut behind) = (Vec::new(), 0, 0);
        let (mut hits, mut phases) = ((0, 0), [(0, 0); 3]);
        for (place, read) in all(log).filter(|(_, op)| op.has_read()) {
            let sources = sources(log, read);
            if sources.is_empty() {
                never += 1;
                continue;
            }
            let gone = sources.iter().map(|source| gone(log, read.key, *source)).max().unwrap();
            let stale = read.start.0.saturating_sub(gone.0);
            at_least.push(stale);
            let between = |op: &&Op| {
                op.key == read.key
                    && is_ok_write(op)
                    && op.end < read.start
                    && sources.iter().all(|source| source.is_none_or(|source| source.precedes(op)))
            };
            behind = behind.max(log.ops.iter().filter(between).count() as u64);
            let count = |part: &mut (u64, u64)| {
                (part.0, part.1) = (part.0 + 1, part.1 + u64::from(stale > 0));
            };
            if log.extra(place).hit == Some(true) {
                count(&mut hits);
            }
            if let [fault] = log.faults.as_slice() {
                let phase = match () {
                    () if read.start < fault.at => 0,
                    () if read.start <= fault.until.unwrap() => 1,
                    () => 2,
                };
                count(&mut phases[phase]);
            }
        }
        at_least.sort_unstable();
        let stale = at_least.iter().filter(|stale| **stale > 0).count() as u64;
        assert_eq!(measured.at_least, at_least, "{log:#?}");
        assert_eq!((measured.all.reads, measured.all.stale), (at_least.len() as u64, stale));
        assert_eq!((measured.never_legal, measured.versions_behind), (never, behind), "{log:#?}");
        assert_eq!((measured.hits.reads, measured.hits.stale), hits);
        if let Some(found) = measured.phases {
            assert_eq!(found.map(|part| (part.reads, part.stale)), phases);
        }
        for (percent, share) in [(50, 0.5), (90, 0.9), (99, 0.99), (100, 1.0)] {
            // The least value that so many percent of the reads do not exceed.
            let enough = |most: &&u64| {
                let below = at_least.iter().filter(|stale| stale <= most).count();
                below * 100 >= percent * at_least.len()
            };
            assert_eq!(measured.quantile(share), at_least.iter().find(enough).copied());
        }
    });
}

/// A read is at most so stale as it is since the first moment at which a write of some other
/// value can have come after the first of its own; and at least as stale as it certainly is.
#[test]
fn possible_staleness_is_that_of_the_definition() {
    each(3_000, |log, values| {
        let mut expected: Vec<u64> = Vec::new();
        for (_, read) in all(log).filter(|(_, op)| op.has_read()) {
            let sources = sources(log, read);
            let start = |source: &Option<&Op>| source.map_or(Time::ZERO, |source| source.start);
            let Some(began) = sources.iter().map(start).min() else { continue };
            let other = |op: &&Op| {
                let another = op.key == read.key && op.value != read.value;
                another && op.may_write() && op.deadline() >= began
            };
            let replaced = log.ops.iter().filter(other).map(|op| op.start.max(began)).min();
            let gone = sources.iter().map(|source| gone(log, read.key, *source)).max().unwrap();
            let possible = read.end.0.saturating_sub(replaced.unwrap_or(Time::NEVER).0);
            expected.push(possible.max(read.start.0.saturating_sub(gone.0)));
        }
        expected.sort_unstable();
        assert_eq!(staleness::measure(log, values).at_most, expected, "{log:#?}");
    });
}

#[test]
fn visibility_and_nines_are_those_of_the_definition() {
    each(3_000, |log, values| {
        let measured = staleness::measure(log, values);
        let mut visible = [(0, 0); SINCE.len()];
        let mut contradicted = std::collections::BTreeMap::new();
        for (_, read) in all(log).filter(|(_, op)| op.has_read()) {
            let acknowledged = all(log)
                .filter(|(_, op)| is_ok_write(op) && op.key == read.key && op.end < read.start);
            let last = acknowledged.max_by_key(|(place, op)| (op.end, *place));
            let Some((place, last)) = last else { continue };
            let since = read.start.0 - last.end.0;
            let bucket = SINCE.iter().rposition(|from| *from <= since).unwrap();
            let older = read.value != last.value && certainly_before(log, read, last.start);
            visible[bucket].0 += 1;
            visible[bucket].1 += u64::from(!older);
            if older {
                let longest = contradicted.entry(place).or_insert(0);
                *longest = since.max(*longest);
            }
        }
        assert_eq!(measured.visible, visible, "{log:#?}");
        let count = |from: u64| contradicted.values().filter(|since| **since >= from).count();
        assert_eq!(measured.contradicted, SINCE.map(|from| count(from) as u64));
        let writes = log.ops.iter().filter(|op| is_ok_write(op)).count();
        assert_eq!(measured.writes, writes as u64);
        for (bucket, from) in SINCE.into_iter().enumerate() {
            let nines = measured.nines(bucket).map(|nines| 10f64.powf(-nines) * writes as f64);
            assert_eq!(nines.map(|wrong| wrong.round() as usize).unwrap_or(0), count(from));
        }
    });
}

#[test]
fn the_upper_bound_solves_its_equation() {
    for (reads, stale) in [(10u64, 1u64), (1_000, 3), (1_000_000, 4), (50, 49)] {
        let part = staleness::Part { reads, stale };
        let (n, p, bound) = (reads as f64, stale as f64 / reads as f64, part.at_most().unwrap());
        // Wilson: the share whose 95 % quantile is what was seen.
        let z = (bound - p) / (bound * (1.0 - bound) / n).sqrt();
        assert!((z - 1.6449).abs() < 1e-3, "{reads} {stale} {bound} {z}");
    }
    let none = staleness::Part { reads: 1_000, stale: 0 };
    assert_eq!(none.at_most(), Some(0.003));
    assert_eq!(staleness::Part { reads: 0, stale: 0 }.at_most(), None);
}

/// Whether some order of the operations explains everything.
fn explainable(ops: &[Op], placed: u32, now: Value) -> bool {
    let left = |place: &usize| placed >> place & 1 == 0;
    let mut rest = (0..ops.len()).filter(left).peekable();
    if rest.peek().is_none() || rest.clone().all(|place| ops[place].outcome != Outcome::Ok) {
        return true;
    }
    rest.clone().any(|place| {
        let op = &ops[place];
        let effect = op.has_read() || op.may_write();
        let possible = rest.clone().all(|other| !ops[other].precedes(op));
        let fits = op.kind == Kind::Write || op.value == now;
        effect && possible && fits && explainable(ops, placed | 1 << place, op.value)
    })
}

#[test]
fn delta_is_the_smallest_shift_that_helps() {
    let small = |log: &Log| log.ops.len() <= 8;
    each(1_500, |log, values| {
        if !small(log) {
            return;
        }
        for key in [KeyId(0), KeyId(1)] {
            let places = values.ops(key);
            let ops: Vec<Op> = places.iter().map(|place| log.ops[*place as usize]).collect();
            let last = ops.iter().map(|op| op.start.0).max().unwrap_or(0);
            let smallest = (0..=last).find(|delta| {
                let mut moved = ops.clone();
                for op in moved.iter_mut().filter(|op| op.has_read()) {
                    op.start.0 = op.start.0.saturating_sub(*delta);
                }
                explainable(&moved, 0, log.initial[key.0 as usize])
            });
            let smallest = smallest.map_or(Delta::Infinite, Delta::Least);
            assert_eq!(staleness::delta(log, values, key, 1_000_000), smallest, "{ops:#?}");
        }
    });
}

/// A proof among values has the fewest operations that have no order, and none that is as
/// small spans less time. Leaving out a write must not take a value from a read.
#[test]
fn no_proof_among_values_is_smaller() {
    let mut proofs = 0;
    each(2_000, |log, values| {
        // A write that failed is shown beside a read of it, but proves nothing.
        let failed = |op: &Op| op.outcome == Outcome::Failed;
        let ops = values.ops(KeyId(0)).iter().map(|place| log.ops[*place as usize]);
        let ops: Vec<Op> = ops.filter(|op| !failed(op)).collect();
        let initial = log.initial[0];
        let mut written: Vec<Value> =
            ops.iter().filter(|op| op.may_write()).map(|op| op.value).collect();
        written.push(initial);
        written.sort_unstable();
        let twice = written.windows(2).any(|two| two[0] == two[1]);
        if twice || ops.iter().any(|op| op.value == Value::NULL) || ops.len() > 9 {
            return;
        }
        let Verdict::Violated(violation) = linear::judge(&ops, initial) else { return };
        proofs += 1;
        let rank = |places: &[usize]| {
            let first = places.iter().map(|place| ops[*place].start.0).min().unwrap();
            let end = |op: &Op| op.deadline().min(Op::LATEST).max(op.start).0;
            (places.len(), places.iter().map(|place| end(&ops[*place])).max().unwrap() - first)
        };
        let smallest = (1..1u32 << ops.len())
            .map(|set| (0..ops.len()).filter(|p| set >> p & 1 == 1).collect::<Vec<_>>())
            .filter(|places| places.len() <= violation.ops.len())
            .filter(|places| {
                let chosen: Vec<Op> = places
                    .iter()
                    .map(|place| match ops[*place] {
                        // A read whose write is left out still shows its value.
                        op if op.has_read() && source_is_out(&ops, places, *place) => {
                            Op { kind: Kind::Write, ..op }
                        }
                        op => op,
                    })
                    .collect();
                !explainable(&chosen, 0, initial)
            })
            .map(|places| rank(&places))
            .min();
        let found = rank(&violation.ops);
        assert!(found.0 <= 6);
        assert_eq!(Some(found), smallest, "{violation:?} {ops:#?}");
    });
    assert!(proofs > 500, "only {proofs} histories were violated");
}

fn source_is_out(ops: &[Op], places: &[usize], read: usize) -> bool {
    (0..ops.len()).any(|place| {
        ops[place].may_write() && ops[place].value == ops[read].value && !places.contains(&place)
    })
}

/// Whether a read returned something certainly older than what another operation shows.
fn is_older(log: &Log, read: usize, other: usize) -> bool {
    let (one, two) = (log.extra(read).version, log.extra(other).version);
    if let (Some(one), Some(two)) = (one, two) {
        return one < two;
    }
    let op = &log.ops[other];
    let writes = log.ops.iter().filter(|w| w.may_write() && (w.key, w.value) == (op.key, op.value));
    let mut first = match op.kind {
        Kind::Write => Some(op.start),
        Kind::Read => writes.map(|write| write.start).min(),
    };
    if op.kind == Kind::Read && log.initial[op.key.0 as usize] == op.value {
        first = Some(Time::ZERO);
    }
    log.ops[read].value != op.value
        && first.is_some_and(|first| certainly_before(log, &log.ops[read], first))
}

/// The operations of a client on a key that were over before one of its operations began.
fn earlier(log: &Log, place: usize, kind: Kind) -> impl Iterator<Item = usize> {
    let op = log.ops[place];
    (0..log.ops.len()).filter(move |other| {
        let other = &log.ops[*other];
        let same = (other.client, other.key, other.kind) == (op.client, op.key, kind);
        same && other.outcome == Outcome::Ok && other.precedes(&op)
    })
}

/// The only write of the value that a read returned.
fn only_write(log: &Log, read: usize) -> Option<usize> {
    let op = &log.ops[read];
    let is_source = |(_, w): &(usize, &Op)| w.may_write() && (w.key, w.value) == (op.key, op.value);
    let mut writes = all(log).filter(is_source);
    let first = writes.next()?.0;
    let alone = writes.next().is_none() && log.initial[op.key.0 as usize] != op.value;
    alone.then_some(first)
}

/// The same, if it had begun when the read ended.
fn only_write_begun(log: &Log, read: usize) -> Option<usize> {
    only_write(log, read).filter(|write| log.ops[*write].start <= log.ops[read].end)
}

#[test]
fn sessions_are_those_of_the_definitions() {
    each(3_000, |log, values| {
        let found = sessions::judge(log, values);
        let reads: Vec<usize> = (0..log.ops.len()).filter(|p| log.ops[*p].has_read()).collect();
        let count = |wrong: &dyn Fn(usize) -> bool| {
            reads.iter().filter(|read| wrong(**read)).count() as u64
        };
        let own = |read| earlier(log, read, Kind::Write).any(|write| is_older(log, read, write));
        assert_eq!(found.read_your_writes.count, count(&own), "{log:#?}");
        let back = |read| earlier(log, read, Kind::Read).any(|other| is_older(log, read, other));
        assert_eq!(found.monotonic_reads.count, count(&back), "{log:#?}");
        let informed = |read: usize, kind: Kind| {
            earlier(log, read, Kind::Read)
                .filter_map(|seen| only_write_begun(log, seen))
                .flat_map(move |write| earlier(log, write, kind))
        };
        let seen_first = |read| {
            informed(read, Kind::Write)
                .any(|w| is_older(log, read, w) || only_write_begun(log, read) == Some(w))
        };
        assert_eq!(found.monotonic_writes.count, count(&seen_first), "{log:#?}");
        let based = |read| informed(read, Kind::Read).any(|base| is_older(log, read, base));
        assert_eq!(found.writes_follow_reads.count, count(&based), "{log:#?}");
    });
}

#[test]
fn lost_and_phantom_values_are_those_of_the_definitions() {
    each(3_000, |log, values| {
        let lost = |(place, write): &(usize, &Op)| {
            let mut later = log
                .ops
                .iter()
                .filter(|op| op.has_read() && op.key == write.key && write.precedes(op));
            let effect = log.extra(*place).effect;
            let seen = later.clone().next().is_some();
            let none_newer = later.all(|read| certainly_before(log, read, write.start));
            is_ok_write(write) && (effect == Some(Effect::None) || (seen && none_newer))
        };
        let count = all(log).filter(lost).count() as u64;
        assert_eq!(durability::judge(log, values).count, count, "{log:#?}");
        let phantom = |(place, read): &(usize, &Op)| {
            let known = log.initial[read.key.0 as usize] == read.value;
            let written = log
                .ops
                .iter()
                .any(|op| op.may_write() && (op.key, op.value) == (read.key, read.value));
            let undone = only_write(log, *place)
                .is_some_and(|write| log.extra(write).effect == Some(Effect::None));
            read.has_read() && read.value != Value::NULL && ((!known && !written) || undone)
        };
        let count = all(log).filter(phantom).count() as u64;
        assert_eq!(phantoms::judge(log, values).count, count, "{log:#?}");
    });
}

#[test]
fn torn_views_and_versions_are_those_of_the_definitions() {
    each(3_000, |log, values| {
        let known = |read: &Op| !sources(log, read).is_empty();
        let views = (1..4).filter(|group| {
            let reads: Vec<&Op> = all(log)
                .filter(|(place, op)| op.has_read() && log.extra(*place).group == *group)
                .map(|(_, op)| op)
                .filter(|op| known(op))
                .collect();
            let began = |read: &Op| {
                let sources = sources(log, read);
                sources.iter().map(|s| s.map_or(Time::ZERO, |s| s.start)).min().unwrap()
            };
            let ended = |read: &Op| {
                let sources = sources(log, read);
                sources.iter().map(|source| gone(log, read.key, *source)).max().unwrap()
            };
            let two_keys = reads.iter().any(|read| read.key != reads[0].key);
            two_keys && reads.iter().any(|one| reads.iter().any(|two| ended(one) < began(two)))
        });
        let none_from_the_future = all(log)
            .filter(|(_, op)| op.has_read())
            .all(|(_, op)| known(op) || values.get(op.key, op.value).writes == 0);
        if none_from_the_future {
            assert_eq!(torn::judge(log, values).count, views.count() as u64, "{log:#?}");
        }
        let version = |place: usize| log.extra(place).version;
        let backwards = all(log).filter(|(place, op)| {
            let newer = |(other, before): (usize, &Op)| {
                before.key == op.key
                    && before.outcome == Outcome::Ok
                    && before.precedes(op)
                    && version(other) > version(*place)
            };
            op.outcome == Outcome::Ok && version(*place).is_some() && all(log).any(newer)
        });
        assert_eq!(versions::judge(log, values).backwards.count, backwards.count() as u64);
    });
}

#[test]
fn lost_updates_are_those_of_the_definition() {
    each(3_000, |log, values| {
        let half = |group: u32, key: KeyId, kind: Kind| {
            all(log).position(|(place, op)| {
                let same = (op.key, op.kind, op.outcome) == (key, kind, Outcome::Ok);
                same && log.extra(place).group == group
            })
        };
        let mut pairs: Vec<(usize, usize)> = [KeyId(0), KeyId(1)]
            .into_iter()
            .flat_map(|key| (1..4).map(move |group| (group, key)))
            .filter_map(|(group, key)| {
                Some((half(group, key, Kind::Read)?, half(group, key, Kind::Write)?))
            })
            .collect();
        pairs.sort_unstable_by_key(|(_, write)| {
            let op = &log.ops[*write];
            (op.end, op.start, *write)
        });
        let mut count = 0;
        for (number, (read, write)) in pairs.iter().enumerate() {
            let (base, over) = (&log.ops[*read], &log.ops[*write]);
            if values.get(base.key, base.value).writes != 1 {
                continue;
            }
            let source = only_write(log, *read).map(|write| log.ops[write]);
            let unseen = |op: &Op| {
                let after = match source {
                    Some(source) => source.precedes(op),
                    None => true,
                };
                op.key == base.key && is_ok_write(op) && after && op.precedes(over)
            };
            let same_base = pairs[..number].iter().any(|(other, _)| {
                (log.ops[*other].key, log.ops[*other].value) == (base.key, base.value)
            });
            count += u64::from(same_base || log.ops.iter().any(unseen));
        }
        assert_eq!(updates::judge(log, values).count, count, "{log:#?}");
    });
}
