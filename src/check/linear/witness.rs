//! The smallest proof of a violation: fewest operations, then the shortest span.

use super::clusters::{Cluster, Clusters, INITIAL, Known, Reads, end, start};
use super::keys::rank;
use super::{Proof, Violation};
use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;

/// How many operations may be looked at in search of a smaller proof, once there is one.
const EFFORT: usize = 4_000_000;

/// A violation with the operations of its proof.
pub(super) fn violation(ops: &[Op], proof: Proof, mut used: Vec<usize>) -> Violation {
    used.sort_unstable_by_key(|place| (ops[*place].start, *place));
    used.dedup();
    Violation { proof, ops: used }
}

/// Keeps the better of what was found so far and a new one.
fn keep(ops: &[Op], best: &mut Option<Violation>, new: Violation) {
    if best.as_ref().is_none_or(|best| rank(ops, &new) < rank(ops, best)) {
        *best = Some(new);
    }
}

/// A read of a value that nobody wrote, whose writes failed, or that was written only later.
pub(super) fn misread(ops: &[Op], clusters: &Clusters) -> Option<Violation> {
    if !clusters.misread {
        return None;
    }
    let mut failed = vec![usize::MAX; clusters.values.len()];
    let mut first = vec![usize::MAX; clusters.values.len()];
    for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.kind == Kind::Write) {
        let of = if op.outcome == Outcome::Failed { &mut failed } else { &mut first };
        let known = &mut of[op.value.0 as usize];
        if *known == usize::MAX || op.start < ops[*known].start {
            *known = place;
        }
    }
    let mut best = None;
    for (read, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read()) {
        let number = op.value.0 as usize;
        let known: &Known = &clusters.values[number];
        if !known.is_misread(ops, end(op)) {
            continue;
        }
        let (proof, used) = match (first[number], failed[number]) {
            (usize::MAX, usize::MAX) => (Proof::NeverWritten { read }, vec![read]),
            (usize::MAX, write) => (Proof::WriteFailed { read, write }, vec![read, write]),
            (write, _) => (Proof::FromTheFuture { read, write }, vec![read, write]),
        };
        keep(ops, &mut best, violation(ops, proof, used));
    }
    best
}

/// The smallest proof that was found for clusters of which some two conflict.
pub(super) fn of_zones(ops: &[Op], initial: Value, clusters: &Clusters) -> Violation {
    let mut best = None;
    superseded(ops, initial, clusters, &mut best);
    if best.is_none() {
        pairs(ops, initial, clusters, &mut best);
    }
    best.expect("two clusters that conflict have a proof")
}

/// Reads of a value that was replaced, by an operation that lies between its write and the
/// read, before the read began: two or three operations.
fn superseded(ops: &[Op], initial: Value, clusters: &Clusters, best: &mut Option<Violation>) {
    let writes = Replaced::new(ops, |op| op.kind == Kind::Write);
    let all = Replaced::new(ops, |_| true);
    let over_initial = OverInitial::new(ops, initial);
    for (read, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read()) {
        let known = &clusters.values[op.value.0 as usize];
        if op.value == Value::NULL || known.writes != 1 {
            continue;
        }
        let written = (op.value != initial).then_some(known.write as usize);
        let after = written.map_or(0, |write| end(&ops[write]));
        if written.is_none()
            && let Some(other) = over_initial.last_over(start(op))
        {
            let proof = Proof::Both { one: (None, read), other: (other, other) };
            keep(ops, best, violation(ops, proof, vec![other, read]));
        }
        let by = |replaced: &Replaced| replaced.first_end(ops, after, op.value, start(op));
        let Some(other) = by(&writes).or_else(|| by(&all)) else { continue };
        let proof = Proof::Both { one: (written, read), other: (other, other) };
        let used = written.into_iter().chain([other, read]).collect();
        keep(ops, best, violation(ops, proof, used));
    }
}

/// Answers which operation on another value than that at the start was over before a time,
/// the last to begin of them: with a read of that value it spans the least.
struct OverInitial {
    /// By end: the end, and the start and place of the last one to begin up to there.
    by_end: Vec<(u64, u64, usize)>,
}

impl OverInitial {
    fn new(ops: &[Op], initial: Value) -> OverInitial {
        let certain = |op: &Op| op.outcome == Outcome::Ok && op.value != initial;
        let places = (0..ops.len()).filter(|place| certain(&ops[*place]));
        let mut by_end: Vec<(u64, u64, usize)> =
            places.map(|place| (end(&ops[place]), start(&ops[place]), place)).collect();
        by_end.sort_unstable();
        let mut last = (0, usize::MAX);
        for (_, start, place) in &mut by_end {
            last = if *start > last.0 { (*start, *place) } else { last };
            (*start, *place) = last;
        }
        OverInitial { by_end }
    }

    fn last_over(&self, before: u64) -> Option<usize> {
        let over = self.by_end.partition_point(|(end, ..)| *end < before);
        self.by_end.get(over.checked_sub(1)?).map(|(.., place)| *place)
    }
}

/// Answers which operation that began after a time ended first.
struct Replaced {
    /// By start, the latest first: the start, and of all operations from there on the one
    /// that ends first, and the first one of another value than that.
    by_start: Vec<(u64, usize, Option<usize>)>,
}

impl Replaced {
    fn new(ops: &[Op], wanted: impl Fn(&Op) -> bool) -> Replaced {
        let certain = |op: &Op| op.outcome == Outcome::Ok && wanted(op);
        let mut places: Vec<usize> = (0..ops.len()).filter(|p| certain(&ops[*p])).collect();
        places.sort_unstable_by_key(|place| (std::cmp::Reverse(ops[*place].start), *place));
        let mut by_start: Vec<(u64, usize, Option<usize>)> = Vec::with_capacity(places.len());
        for place in places {
            let op = &ops[place];
            let (first, second) = match by_start.last() {
                None => (place, None),
                Some((_, first, second)) => {
                    let other = ops[*first].value != op.value;
                    let sooner = |than: usize| end(op) < end(&ops[than]);
                    match () {
                        () if sooner(*first) && other => (place, Some(*first)),
                        () if sooner(*first) => (place, *second),
                        () if other && second.is_none_or(sooner) => (*first, Some(place)),
                        () => (*first, *second),
                    }
                }
            };
            by_start.push((start(op), first, second));
        }
        Replaced { by_start }
    }

    /// The operation of another value that began after `after` and ended first, if that was
    /// before `before`.
    fn first_end(&self, ops: &[Op], after: u64, value: Value, before: u64) -> Option<usize> {
        let began = self.by_start.partition_point(|(start, ..)| *start > after);
        let (_, first, second) = self.by_start.get(began.checked_sub(1)?)?;
        let other = if ops[*first].value != value { Some(*first) } else { *second };
        other.filter(|place| end(&ops[*place]) < before)
    }
}

/// The operations of a cluster that can matter in a proof.
struct Roles {
    /// `None` for the value at the start.
    write: Option<usize>,
    /// All its operations, the write included; a read of absence stands alone.
    all: Vec<usize>,
}

/// Looks through the pairs of clusters that conflict, as far as the effort allows.
fn pairs(ops: &[Op], initial: Value, clusters: &Clusters, best: &mut Option<Violation>) {
    let by_value = Reads::new(ops, clusters.values.len());
    let roles = |cluster: &Cluster| {
        let write = (cluster.tag != INITIAL).then_some(cluster.tag as usize);
        let value = write.map_or(initial, |write| ops[write].value);
        let reads = by_value.of(value).iter().map(|place| *place as usize);
        Roles { write, all: write.into_iter().chain(reads).collect() }
    };
    let mut effort = 0;
    for (place, one) in clusters.all.iter().enumerate().filter(|(_, one)| one.is_forward()) {
        let after = &clusters.all[place + 1..];
        let near = after.iter().take_while(|other| other.first_end < one.last_start);
        for other in near {
            effort += 1;
            if one.before(other) {
                let (one, other) = (roles(one), roles(other));
                effort += one.all.len() + other.all.len();
                smallest_of_pair(ops, &one, &other, best);
            }
            if effort > EFFORT && best.is_some() {
                return;
            }
        }
    }
}

fn smallest_of_pair(ops: &[Op], one: &Roles, other: &Roles, best: &mut Option<Violation>) {
    for (one, other) in [(one, other), (other, one)] {
        // A lone operation between two of the other value needs no write of its own.
        let single = other.all.iter().map(|place| (*place, *place));
        for middle in single.filter(|(place, _)| ops[*place].outcome == Outcome::Ok) {
            around(ops, one, middle, None, best);
        }
    }
    let ends = ends(ops, other);
    for first in ends.iter().copied().chain(other.write) {
        for last in ends.iter().copied().chain(other.write) {
            around(ops, one, (first, last), other.write, best);
        }
    }
}

/// The operation of a cluster that begins last and the one that ends first.
fn ends(ops: &[Op], roles: &Roles) -> [usize; 2] {
    let last = roles.all.iter().copied().max_by_key(|place| start(&ops[*place]));
    let first = roles.all.iter().copied().min_by_key(|place| end(&ops[*place]));
    [last.expect("not empty"), first.expect("not empty")]
}

/// Proofs in which value `one` is there before `other.0` begins and after `other.1` ended.
fn around(
    ops: &[Op],
    one: &Roles,
    other: (usize, usize),
    other_write: Option<usize>,
    best: &mut Option<Violation>,
) {
    let (begins, ended) = (start(&ops[other.0]), end(&ops[other.1]));
    let ends = ends(ops, one);
    let before = match one.write {
        None => Some(None),
        Some(write) => {
            [write, ends[1]].into_iter().find(|place| end(&ops[*place]) < begins).map(Some)
        }
    };
    let after = one.write.into_iter().chain([ends[0]]).find(|place| ended < start(&ops[*place]));
    let (Some(before), Some(after)) = (before, after) else { return };
    let proof = Proof::Both { one: (before, after), other };
    let used = [Some(after), before, Some(other.0), Some(other.1), one.write, other_write];
    keep(ops, best, violation(ops, proof, used.into_iter().flatten().collect()));
}
