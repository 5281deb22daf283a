//! Clusters: a write of a value together with all reads of that value.
//!
//! Times are shifted by one, so that 0 can stand for "before everything", where the value at
//! the start was written; what never ended has the largest time.

use super::nearly;
use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;
use crate::time::Time;

/// A cluster whose operations must stand together in every linearization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// When the first of its operations had ended.
    pub first_end: u64,
    /// When the last of its operations began.
    pub last_start: u64,
    /// Its write, or its only operation; [`INITIAL`] for the value at the start.
    pub tag: u32,
    /// What it is to a sweep.
    pub role: Role,
}

/// What clusters are for reads of absence, in the order in which those due at one time are dealt
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A read of absence.
    Read,
    /// A delete.
    Delete,
    /// Whatever leaves a value.
    Value,
}

/// The tag of the cluster of the value at the start.
pub(super) const INITIAL: u32 = u32::MAX;

/// The shifted start of an operation.
pub(super) fn start(op: &Op) -> u64 {
    op.start.0 + 1
}

/// The shifted time from which on an operation can no longer take effect.
pub(super) fn end(op: &Op) -> u64 {
    match op.deadline() {
        Time::NEVER => u64::MAX,
        time => time.0 + 1,
    }
}

/// What is known of one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// When the first read of it had ended.
    pub read_end: u64,
    /// When the last read of it began; 0 if nobody read it.
    pub read_start: u64,
    /// The write of it that began first; [`INITIAL`] if it was there at the start, or if
    /// nobody wrote it.
    pub write: u32,
    /// How often it was written, the start included.
    pub writes: u32,
}

const UNKNOWN: Known = Known { read_end: u64::MAX, read_start: 0, write: INITIAL, writes: 0 };

impl Known {
    pub fn is_read(&self) -> bool {
        self.read_start > 0
    }

    /// The cluster of a value that was written once, then.
    fn cluster(&self, written: (u64, u64)) -> Cluster {
        Cluster {
            first_end: self.read_end.min(written.1),
            last_start: self.read_start.max(written.0),
            tag: self.write,
            role: Role::Value,
        }
    }

    /// Whether a read that ended then is of a value that nobody had begun to write.
    pub fn is_misread(&self, ops: &[Op], read_end: u64) -> bool {
        self.writes == 0 || ops.get(self.write as usize).is_some_and(|w| read_end < start(w))
    }
}

/// The clusters of a key's operations.
pub(super) struct Clusters {
    /// Those that are certain: values written once and read, and single operations of other
    /// values. By `first_end`.
    pub all: Vec<Cluster>,
    /// What is known of each value, by number.
    pub values: Vec<Known>,
    /// Whether a value was read that was not written, or only later.
    pub misread: bool,
    /// Whether absence was read.
    pub absence: bool,
    /// Whether a value was read that was written several times.
    pub ambiguous: bool,
}

/// Collects the clusters. Values are expected to be numbered densely.
pub(super) fn build(ops: &[Op], initial: Value) -> Clusters {
    let values = collect(ops, initial);
    let mut all = Vec::with_capacity(ops.len().min(2 * values.len()));
    let (mut misread, mut ambiguous) = (false, false);
    for known in values.iter().skip(1).filter(|known| known.is_read()) {
        misread |= known.is_misread(ops, known.read_end);
        ambiguous |= known.writes > 1;
    }
    let own = &values[initial.0 as usize];
    if initial != Value::NULL && own.writes == 1 && own.is_read() {
        all.push(own.cluster((0, 0)));
    }
    // In the order of the history, so that they are nearly sorted.
    for (place, op) in ops.iter().enumerate() {
        let known = &values[op.value.0 as usize];
        let (certain, null) = (op.outcome == Outcome::Ok, op.value == Value::NULL);
        let alone = |role| Cluster {
            first_end: end(op),
            last_start: start(op),
            tag: u32::try_from(place).expect("a key has fewer than 2^32 operations"),
            role,
        };
        let once = known.writes == 1 && op.may_write();
        match op.kind {
            Kind::Read if null && certain => all.push(alone(Role::Read)),
            Kind::Write if null && certain => all.push(alone(Role::Delete)),
            Kind::Write if !null && known.is_read() && once => {
                all.push(known.cluster((start(op), end(op))));
            }
            Kind::Write if !null && !known.is_read() && certain => all.push(alone(Role::Value)),
            _ => {}
        }
    }
    let absence = values[0].is_read();
    nearly::sort(&mut all, |cluster| (cluster.first_end, cluster.tag));
    Clusters { all, values, misread, absence, ambiguous }
}

fn collect(ops: &[Op], initial: Value) -> Vec<Known> {
    let mut values = vec![UNKNOWN; 1 + initial.0 as usize];
    values[initial.0 as usize].writes = 1;
    for (place, op) in ops.iter().enumerate() {
        let number = op.value.0 as usize;
        if number >= values.len() {
            values.resize(number + 1, UNKNOWN);
        }
        let known = &mut values[number];
        if op.has_read() {
            known.read_end = known.read_end.min(end(op));
            known.read_start = known.read_start.max(start(op));
        } else if op.may_write() {
            let sooner = |write: u32| ops.get(write as usize).is_some_and(|w| op.start < w.start);
            if known.writes == 0 || sooner(known.write) {
                known.write = place as u32;
            }
            known.writes += 1;
        }
    }
    values
}

/// The reads of each value but absence, as they began.
pub(super) struct Reads {
    /// By value: where its reads begin.
    from: Vec<u32>,
    places: Vec<u32>,
}

impl Reads {
    /// The reads among operations with so many values.
    pub fn new(ops: &[Op], values: usize) -> Reads {
        let is_read = |op: &Op| op.has_read() && op.value != Value::NULL;
        let mut from = vec![0u32; values + 1];
        ops.iter().filter(|op| is_read(op)).for_each(|op| from[op.value.0 as usize] += 1);
        let mut sum = 0;
        for from in &mut from {
            sum += *from;
            *from = sum;
        }
        let mut places = vec![0; sum as usize];
        for (place, op) in ops.iter().enumerate().filter(|(_, op)| is_read(op)) {
            let from = &mut from[op.value.0 as usize];
            *from -= 1;
            places[*from as usize] = place as u32;
        }
        for value in 0..values {
            let own = &mut places[from[value] as usize..from[value + 1] as usize];
            own.sort_unstable_by_key(|place| (ops[*place as usize].start, *place));
        }
        Reads { from, places }
    }

    /// The reads of a value.
    pub fn of(&self, value: Value) -> &[u32] {
        let value = value.0 as usize;
        &self.places[self.from[value] as usize..self.from[value + 1] as usize]
    }

    /// Writes a cluster out: its write, then its reads.
    pub fn expand(&self, ops: &[Op], initial: Value, tag: u32, order: &mut Vec<usize>) {
        let write = ops.get(tag as usize);
        order.extend(write.map(|_| tag as usize));
        let value = write.map_or(initial, |write| write.value);
        order.extend(self.of(value).iter().map(|place| *place as usize));
    }
}
