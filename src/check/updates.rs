//! Lost updates: a read-modify-write (a read and a write of one key in one group) overwrote a
//! write that it had not seen.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::found::Found;
use super::values::Values;
use crate::history::log::{Kind, Log, Op, Value};
use crate::history::record::KeyId;
use crate::operation::Outcome;
use crate::time::Time;

/// Judges all read-modify-writes. A finding has the read, the write that was not seen, and the
/// write that overwrote it.
pub fn judge(log: &Log, values: &Values) -> Found {
    let mut found = Found::default();
    for key in 0..log.keys() {
        let key = KeyId(key as u32);
        let pairs = pairs(log, values.ops(key));
        let unseen = Unseen::new(log, values.ops(key));
        let mut on_base: FxHashMap<Value, usize> = FxHashMap::default();
        for (read, write) in pairs {
            found.tested += 1;
            let base = log.ops[read].value;
            let known = values.get(key, base);
            if known.writes != 1 {
                continue;
            }
            // Two that are based on one value: the later one did not see the earlier one.
            if let Some(other) = on_base.insert(base, write) {
                found.add(vec![read, other, write]);
            } else if let Some(other) = unseen.between(log, known.last_end, write) {
                found.add(vec![read, other, write]);
            }
        }
    }
    found
}

/// The reads and writes of groups that have one of each on a key, by end and start of the write.
fn pairs(log: &Log, places: &[u32]) -> Vec<(usize, usize)> {
    let mut groups: BTreeMap<u32, (Option<usize>, Option<usize>)> = BTreeMap::new();
    for place in places.iter().map(|place| *place as usize) {
        let group = log.extra(place).group;
        let op = &log.ops[place];
        if group > 0 && op.outcome == Outcome::Ok {
            let (read, write) = groups.entry(group).or_default();
            let half = if op.kind == Kind::Read { read } else { write };
            half.get_or_insert(place);
        }
    }
    let mut pairs: Vec<(usize, usize)> =
        groups.into_values().filter_map(|(read, write)| Some((read?, write?))).collect();
    pairs.sort_unstable_by_key(|(_, write)| {
        let op = &log.ops[*write];
        (op.end, op.start, *write)
    });
    pairs
}

/// The acknowledged writes of a key by start, each with the first of those from it on to end.
struct Unseen(Vec<(Op, usize, usize)>);

impl Unseen {
    fn new(log: &Log, places: &[u32]) -> Unseen {
        let certain = |op: &Op| op.kind == Kind::Write && op.outcome == Outcome::Ok;
        let places = places.iter().map(|place| *place as usize);
        let mut writes: Vec<(Op, usize, usize)> = places
            .filter(|place| certain(&log.ops[*place]))
            .map(|place| (log.ops[place], place, place))
            .collect();
        writes.sort_unstable_by_key(|(op, place, _)| (op.start, *place));
        for number in (1..writes.len()).rev() {
            let (last, before) = (writes[number].2, writes[number - 1].2);
            if log.ops[last].end < log.ops[before].end {
                writes[number - 1].2 = last;
            }
        }
        Unseen(writes)
    }

    /// A write that began after a time, `None` for before everything, and was over before another
    /// one began.
    fn between(&self, log: &Log, after: Option<Time>, write: usize) -> Option<usize> {
        let next = self.0.partition_point(|(op, ..)| Some(op.start) <= after);
        let (_, _, first) = self.0.get(next)?;
        (*first != write && log.ops[*first].precedes(&log.ops[write])).then_some(*first)
    }
}
