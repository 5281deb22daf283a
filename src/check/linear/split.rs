//! Values that were written several times, but can be told apart by time.
//!
//! A read can only have returned a write that began before the read ended and that was not
//! certainly replaced before the read began. Where one write remains, the read belongs to it
//! in every linearization; if that is so for all reads, each write is a value of its own and
//! the zone theorem decides. If some reads have a choice, the others' zones still must not
//! conflict, and two ways to choose are tried before anything is searched.

use super::clusters::{self, Clusters, end, start};
use super::{nulls, verify, witness, zones};
use crate::history::log::{Op, Value};

/// What came of it.
pub(super) enum Split {
    /// This order explains everything.
    Order(Vec<usize>),
    /// These operations prove that there is none: a proof among zones, once values are told apart.
    Nothing(Vec<usize>),
    /// It takes a search.
    Undecided,
}

/// A read, and the writes that it can have returned, by start.
struct Choice {
    read: usize,
    from: Vec<usize>,
}

/// Tells values apart by time. Absence stays one value.
pub(super) fn split(ops: &[Op], initial: Value) -> Split {
    let writes = Writes::new(ops);
    let mut own = ops.to_vec();
    let mut next = 1;
    // The value at the start keeps a number of its own, whether somebody writes it or not.
    let start_value = if initial == Value::NULL { Value::NULL } else { Value(1) };
    for op in own.iter_mut().filter(|op| op.may_write() && op.value != Value::NULL) {
        next += 1;
        op.value = Value(next);
    }
    let mut open = Vec::new();
    for (read, op) in ops.iter().enumerate() {
        if !op.has_read() || op.value == Value::NULL {
            continue;
        }
        let from = writes.candidates(op);
        let at_start = op.value == initial && start(op) <= writes.first_end;
        match (from.as_slice(), at_start) {
            ([], true) => own[read].value = start_value,
            ([write], false) => own[read].value = own[*write].value,
            // The start competes with writes: left to the search. That nothing could have served
            // a read was found before.
            ([], false) | (_, true) => return Split::Undecided,
            _ => open.push(Choice { read, from }),
        }
    }
    let mut certain = own.clone();
    // Reads that have a choice say nothing for now.
    open.iter().for_each(|choice| certain[choice.read] = certain[choice.read].unknown());
    let clusters = clusters::build(&certain, start_value);
    if clusters.misread || zones::conflict(&clusters.all) {
        return Split::Nothing(proof(&certain, start_value, &clusters));
    }
    for pick in [first as fn(&[usize]) -> usize, last] {
        for choice in &open {
            own[choice.read].value = own[pick(&choice.from)].value;
        }
        if let Some(order) = order(&own, start_value)
            && verify::order(ops, initial, &order).is_ok()
        {
            return Split::Order(order);
        }
        if open.is_empty() {
            break;
        }
    }
    Split::Undecided
}

fn first(from: &[usize]) -> usize {
    from[0]
}

fn last(from: &[usize]) -> usize {
    from[from.len() - 1]
}

fn order(own: &[Op], initial: Value) -> Option<Vec<usize>> {
    let clusters = clusters::build(own, initial);
    if clusters.misread || zones::conflict(&clusters.all) {
        return None;
    }
    match clusters.absence {
        true => nulls::sweep(own, initial, &clusters).ok(),
        false => Some(zones::order(own, initial, &clusters)),
    }
}

fn proof(own: &[Op], initial: Value, clusters: &Clusters) -> Vec<usize> {
    let misread = witness::misread(own, clusters);
    let proof = misread.or_else(|| witness::of_values(own, initial, clusters, true));
    proof.expect("a misread or a conflict has a proof").ops
}

/// The writes by value and start, each with when it had certainly been replaced.
struct Writes<'a> {
    ops: &'a [Op],
    by_value: Vec<(Value, u64, u64, usize)>,
    /// When the first write had ended.
    first_end: u64,
}

impl<'a> Writes<'a> {
    fn new(ops: &'a [Op]) -> Writes<'a> {
        let places: Vec<usize> = (0..ops.len()).filter(|place| ops[*place].may_write()).collect();
        let mut by_start: Vec<(u64, u64)> =
            places.iter().map(|place| (start(&ops[*place]), end(&ops[*place]))).collect();
        by_start.sort_unstable();
        for number in (1..by_start.len()).rev() {
            by_start[number - 1].1 = by_start[number - 1].1.min(by_start[number].1);
        }
        let replaced = |op: &Op| {
            let after = by_start.partition_point(|(start, _)| *start <= end(op));
            by_start.get(after).map_or(u64::MAX, |(_, end)| *end)
        };
        let mut by_value: Vec<_> = places
            .iter()
            .map(|place| (ops[*place].value, start(&ops[*place]), replaced(&ops[*place]), *place))
            .collect();
        by_value.sort_unstable();
        let first_end = by_start.first().map_or(u64::MAX, |(_, end)| *end);
        Writes { ops, by_value, first_end }
    }

    /// The writes that a read can have returned, by start.
    fn candidates(&self, read: &Op) -> Vec<usize> {
        let from = self.by_value.partition_point(|(value, ..)| *value < read.value);
        self.by_value[from..]
            .iter()
            .take_while(|(value, began, ..)| *value == read.value && *began <= end(read))
            .filter(|(_, _, replaced, _)| *replaced >= start(read))
            .map(|(.., place)| *place)
            .collect()
    }
}

/// The operations of a proof, and what else is needed so that no write outside of them could
/// serve a read among them: the writes that lie between such a write and the read.
pub(super) fn close(ops: &[Op], proof: &[usize]) -> Vec<usize> {
    let writes = Writes::new(ops);
    let mut core = proof.to_vec();
    let add = |place: usize, core: &mut Vec<usize>| {
        if !core.contains(&place) {
            core.push(place);
        }
    };
    for read in proof.iter().copied().filter(|place| ops[*place].has_read()) {
        for candidate in writes.candidates(&ops[read]) {
            add(candidate, &mut core);
        }
        let same = writes.by_value.iter().filter(|(value, ..)| *value == ops[read].value);
        for (_, began, replaced, write) in same {
            if *began > end(&ops[read]) || *replaced >= start(&ops[read]) || core.contains(write) {
                continue;
            }
            let between = |place: &usize| {
                ops[*place].may_write()
                    && ops[*write].precedes(&ops[*place])
                    && ops[*place].precedes(&ops[read])
            };
            if !core.iter().any(between) {
                // The last one that fits hides the most.
                let last = (0..writes.ops.len()).filter(between);
                let last = last.max_by_key(|place| (ops[*place].start, *place));
                last.into_iter().for_each(|place| add(place, &mut core));
            }
        }
    }
    core.sort_unstable();
    core
}
