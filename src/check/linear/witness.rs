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

/// The smallest proof that was found among values; there is one if some two clusters conflict.
pub(super) fn of_values(
    ops: &[Op],
    initial: Value,
    clusters: &Clusters,
    conflict: bool,
) -> Option<Violation> {
    let mut best = None;
    superseded(ops, initial, clusters, &mut best);
    if best.is_none() && conflict {
        pairs(ops, initial, clusters, &mut best);
    }
    assert!(best.is_some() || !conflict, "two clusters that conflict have a proof");
    best
}

/// Reads of a value that was replaced, by an operation that lies between all writes that could
/// have served it and the read: two or three operations.
fn superseded(ops: &[Op], initial: Value, clusters: &Clusters, best: &mut Option<Violation>) {
    let writes = Replaced::new(ops, |op| op.kind == Kind::Write);
    let all = Replaced::new(ops, |_| true);
    let on_others = |op: &Op| op.outcome == Outcome::Ok && op.value != initial;
    let over_initial = Over::new(ops, (0..ops.len()).filter(|place| on_others(&ops[*place])));
    let repeated = Repeated::new(ops, clusters);
    for (read, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read()) {
        let known = &clusters.values[op.value.0 as usize];
        let written = match known.writes {
            1 if op.value == initial => None,
            1 => Some(known.write as usize),
            _ => repeated.last_over(op),
        };
        if op.value == Value::NULL || (written.is_none() && op.value != initial) {
            continue;
        }
        let after = written.map_or(0, |write| end(&ops[write]));
        if written.is_none()
            && let Some(other) = over_initial.last(start(op))
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

/// Answers which write of a value that was written several times is the last to be over, of
/// those that could have served a read.
struct Repeated {
    /// By value and start: the start, and of the value's writes up to there the last to end.
    by_start: Vec<(Value, u64, usize)>,
}

impl Repeated {
    fn new(ops: &[Op], clusters: &Clusters) -> Repeated {
        let repeated = |op: &Op| {
            let known = &clusters.values[op.value.0 as usize];
            op.may_write() && known.writes > 1 && known.is_read()
        };
        let mut by_start: Vec<(Value, u64, usize)> = (0..ops.len())
            .filter(|place| repeated(&ops[*place]))
            .map(|place| (ops[place].value, start(&ops[place]), place))
            .collect();
        by_start.sort_unstable();
        for number in 1..by_start.len() {
            let (before, this) = (by_start[number - 1], by_start[number]);
            if before.0 == this.0 && end(&ops[before.2]) > end(&ops[this.2]) {
                by_start[number].2 = before.2;
            }
        }
        Repeated { by_start }
    }

    /// `None` if only what was there at the start could have served it.
    fn last_over(&self, read: &Op) -> Option<usize> {
        let begun =
            self.by_start.partition_point(|(v, start, _)| (*v, *start) <= (read.value, end(read)));
        let (value, _, write) = self.by_start.get(begun.checked_sub(1)?)?;
        (*value == read.value).then_some(*write)
    }
}

/// Answers which of some operations was over before a time, the last to begin of them: with
/// what comes later it spans the least.
struct Over {
    /// By end: the end, and the start and place of the last one to begin up to there.
    by_end: Vec<(u64, u64, usize)>,
}

impl Over {
    fn new(ops: &[Op], places: impl Iterator<Item = usize>) -> Over {
        let mut by_end: Vec<(u64, u64, usize)> =
            places.map(|place| (end(&ops[place]), start(&ops[place]), place)).collect();
        by_end.sort_unstable();
        let mut last = (0, usize::MAX);
        for (_, start, place) in &mut by_end {
            last = if *start > last.0 { (*start, *place) } else { last };
            (*start, *place) = last;
        }
        Over { by_end }
    }

    fn last(&self, before: u64) -> Option<usize> {
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

/// Answers which of some operations that began after a time ended first.
struct Next {
    /// By start, the latest first: the start, and the end and place of the first one to end from
    /// there on.
    by_start: Vec<(u64, u64, usize)>,
}

impl Next {
    fn new(ops: &[Op], places: impl Iterator<Item = usize>) -> Next {
        let mut by_start: Vec<(u64, u64, usize)> =
            places.map(|place| (start(&ops[place]), end(&ops[place]), place)).collect();
        by_start.sort_unstable_by_key(|(start, ..)| std::cmp::Reverse(*start));
        let mut first = (u64::MAX, usize::MAX);
        for (_, end, place) in &mut by_start {
            first = first.min((*end, *place));
            (*end, *place) = first;
        }
        Next { by_start }
    }

    fn first(&self, after: u64) -> Option<usize> {
        let began = self.by_start.partition_point(|(start, ..)| *start > after);
        self.by_start.get(began.checked_sub(1)?).map(|(.., place)| *place)
    }
}

/// The operations of a cluster that can matter in a proof.
struct Roles {
    /// `None` for the value at the start.
    write: Option<usize>,
    /// All its operations, the write included; a read of absence stands alone.
    all: Vec<usize>,
    over: Over,
    next: Next,
}

impl Roles {
    fn new(ops: &[Op], write: Option<usize>, reads: &[u32]) -> Roles {
        let reads = reads.iter().map(|place| *place as usize);
        let all: Vec<usize> = write.into_iter().chain(reads).collect();
        let (over, next) = (all.iter().copied(), all.iter().copied());
        Roles { write, over: Over::new(ops, over), next: Next::new(ops, next), all }
    }

    /// What was over before a time: the write, which a proof has anyway, or what begins last.
    fn before(&self, ops: &[Op], time: u64) -> Option<usize> {
        self.write.filter(|write| end(&ops[*write]) < time).or_else(|| self.over.last(time))
    }

    /// The same as the first half of a proof, where the start of the history serves as well.
    fn in_front(&self, ops: &[Op], time: u64) -> Option<Option<usize>> {
        match self.write {
            None => Some(None),
            Some(_) => self.before(ops, time).map(Some),
        }
    }

    /// What began after a time: the write, or what ends first.
    fn after(&self, ops: &[Op], time: u64) -> Option<usize> {
        self.write.filter(|write| start(&ops[*write]) > time).or_else(|| self.next.first(time))
    }
}

/// Looks through the pairs of clusters that conflict, as far as the effort allows.
fn pairs(ops: &[Op], initial: Value, clusters: &Clusters, best: &mut Option<Violation>) {
    let by_value = Reads::new(ops, clusters.values.len());
    let roles = |cluster: &Cluster| {
        let write = (cluster.tag != INITIAL).then_some(cluster.tag as usize);
        let value = write.map_or(initial, |write| ops[write].value);
        Roles::new(ops, write, by_value.of(value))
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
    let mut keep_both = |one: &Roles, before, after, other: (usize, usize), write| {
        let proof = Proof::Both { one: (before, after), other };
        let used = [Some(after), before, Some(other.0), Some(other.1), one.write, write];
        keep(ops, best, violation(ops, proof, used.into_iter().flatten().collect()));
    };
    for (one, other) in [(one, other), (other, one)] {
        // A lone operation between two of the other value needs no write of its own.
        for middle in other.all.iter().copied().filter(|p| ops[*p].outcome == Outcome::Ok) {
            let before = one.in_front(ops, start(&ops[middle]));
            let after = one.after(ops, end(&ops[middle]));
            if let (Some(before), Some(after)) = (before, after) {
                keep_both(one, before, after, (middle, middle), None);
            }
        }
    }
    let begun: Vec<(Option<usize>, usize)> = match one.write {
        // The start of the history precedes whatever a proof has anyway.
        None => other.write.map(|write| (None, write)).into_iter().collect(),
        Some(_) => precedences(ops, one, other).into_iter().map(|(b, f)| (Some(b), f)).collect(),
    };
    for (last, after) in precedences(ops, other, one) {
        for (before, first) in &begun {
            keep_both(one, *before, after, (*first, last), other.write);
        }
    }
}

/// Operations of one cluster that precede some of another: writes where that is possible, and
/// those around which there is least time.
fn precedences(ops: &[Op], one: &Roles, other: &Roles) -> Vec<(usize, usize)> {
    let first_to_end = one.all.iter().copied().min_by_key(|place| end(&ops[*place]));
    let last_to_begin = other.all.iter().copied().max_by_key(|place| start(&ops[*place]));
    let mut pairs = Vec::new();
    for before in one.write.into_iter().chain(first_to_end) {
        let Some(after) = other.after(ops, end(&ops[before])) else { continue };
        pairs.push((before, after));
        pairs.extend(one.before(ops, start(&ops[after])).map(|before| (before, after)));
    }
    for after in other.write.into_iter().chain(last_to_begin) {
        let Some(before) = one.before(ops, start(&ops[after])) else { continue };
        pairs.push((before, after));
        pairs.extend(other.after(ops, end(&ops[before])).map(|after| (before, after)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
