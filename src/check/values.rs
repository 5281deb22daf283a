//! What is certain about each value of a history: since when it can have been there, and until
//! when. The checkers of sessions, staleness and views build on it.

use rustc_hash::FxHashMap;

use crate::history::log::{Kind, Log, Op, Value};
use crate::history::record::KeyId;
use crate::operation::Outcome;
use crate::time::Time;

/// The writes of one value of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// When the first of its writes began; zero for what was there at the start.
    pub first_start: Time,
    /// When the last of its writes had ended; `None`, before everything, if it was only there at
    /// the start.
    pub last_end: Option<Time>,
    /// The latest time at which it can have been the current value: then another write, which
    /// began after the end of its own, had been acknowledged.
    pub replaced: Time,
    /// How often it was written, the start included.
    pub writes: u32,
    /// Its last write, by place; `None` if it was only there at the start.
    pub write: Option<u32>,
}

const NOWHERE: Known = Known {
    first_start: Time::NEVER,
    last_end: None,
    replaced: Time::ZERO,
    writes: 0,
    write: None,
};

/// The values of all keys, and each key's operations.
pub struct Values {
    values: Vec<Known>,
    /// Of values that were written several times: by start of the writes, what is known if
    /// only those up to there are counted.
    repeated: FxHashMap<(KeyId, Value), Vec<(Time, Known)>>,
    /// Where each key's values begin.
    base: Vec<u32>,
    places: Vec<u32>,
    from: Vec<u32>,
}

impl Values {
    /// Looks at all writes.
    pub fn of(log: &Log) -> Values {
        let mut count: Vec<u32> = log.initial.iter().map(|value| value.0 + 1).collect();
        for op in &log.ops {
            let count = &mut count[op.key.0 as usize];
            *count = (*count).max(op.value.0 + 1);
        }
        let mut base = vec![0; count.len() + 1];
        for (key, count) in count.iter().enumerate() {
            base[key + 1] = base[key] + count;
        }
        let (places, from) = log.by_key();
        let total = base.last().copied().unwrap_or(0) as usize;
        let repeated = FxHashMap::default();
        let mut values = Values { values: vec![NOWHERE; total], repeated, base, places, from };
        for key in 0..log.keys() {
            values.note(log, KeyId(key as u32));
        }
        values
    }

    /// The places of a key's operations, in the order of the file.
    pub fn ops(&self, key: KeyId) -> &[u32] {
        let key = key.0 as usize;
        &self.places[self.from[key] as usize..self.from[key + 1] as usize]
    }

    /// What is known of a value.
    pub fn get(&self, key: KeyId, value: Value) -> &Known {
        &self.values[(self.base[key.0 as usize] + value.0) as usize]
    }

    /// What is known of the value that a read returned: a write that began only when the read
    /// was over cannot have served it.
    pub fn seen(&self, read: &Op) -> Known {
        let known = *self.get(read.key, read.value);
        if known.writes < 2 {
            return if known.first_start > read.end { NOWHERE } else { known };
        }
        let writes = self.repeated.get(&(read.key, read.value)).map_or(&[][..], Vec::as_slice);
        let begun = writes.partition_point(|(start, _)| *start <= read.end);
        begun.checked_sub(1).map_or(NOWHERE, |last| writes[last].1)
    }

    /// Whether the value that `op` read was certainly older than what `write` wrote: all its
    /// writes had ended before that one began.
    pub fn older(&self, log: &Log, op: usize, write: usize) -> bool {
        let (op, write) = (&log.ops[op], &log.ops[write]);
        let known = self.seen(op);
        known.writes > 0 && op.value != write.value && known.last_end < Some(write.start)
    }

    fn note(&mut self, log: &Log, key: KeyId) {
        let base = self.base[key.0 as usize] as usize;
        let mut writes: Vec<u32> = self.ops(key).to_vec();
        writes.retain(|place| log.ops[*place as usize].may_write());
        writes.sort_unstable_by_key(|place| (log.ops[*place as usize].start, *place));
        let over = replaced(log, &writes);
        let initial = &mut self.values[base + log.initial[key.0 as usize].0 as usize];
        (initial.first_start, initial.writes) = (Time::ZERO, 1);
        let first_end = |place: &u32| log.ops[*place as usize].deadline();
        initial.replaced = writes.iter().map(first_end).min().unwrap_or(Time::NEVER);
        for (place, over) in writes.iter().zip(over) {
            let op = &log.ops[*place as usize];
            let known = &mut self.values[base + op.value.0 as usize];
            let before = *known;
            known.first_start = known.first_start.min(op.start);
            known.last_end = known.last_end.max(Some(op.deadline()));
            known.replaced = known.replaced.max(over);
            known.writes += 1;
            known.write = Some(*place);
            if known.writes > 1 {
                let known = *known;
                let writes = self.repeated.entry((key, op.value)).or_default();
                if writes.is_empty() {
                    writes.push((before.first_start, before));
                }
                writes.push((op.start, known));
            }
        }
    }
}

/// For writes in the order of their starts: the first acknowledgement of one that began after
/// each had ended.
fn replaced(log: &Log, writes: &[u32]) -> Vec<Time> {
    let op = |place: u32| -> &Op { &log.ops[place as usize] };
    let mut first_end = vec![Time::NEVER; writes.len() + 1];
    for (number, place) in writes.iter().enumerate().rev() {
        first_end[number] = first_end[number + 1].min(op(*place).deadline());
    }
    let after = |end: Time| writes.partition_point(|place| op(*place).start <= end);
    writes.iter().map(|place| first_end[after(op(*place).deadline())]).collect()
}

/// Reads of a key that returned, by start.
pub(super) fn reads_by_start(log: &Log, places: &[u32]) -> Vec<usize> {
    let is_read = |place: &&u32| log.ops[**place as usize].has_read();
    let mut reads: Vec<usize> =
        places.iter().filter(is_read).map(|place| *place as usize).collect();
    reads.sort_unstable_by_key(|place| (log.ops[*place].start, *place));
    reads
}

/// Writes of a key that were acknowledged, by end.
pub(super) fn acknowledged_by_end(log: &Log, places: &[u32]) -> Vec<usize> {
    let certain = |op: &Op| op.kind == Kind::Write && op.outcome == Outcome::Ok;
    let mut writes: Vec<usize> = places
        .iter()
        .map(|place| *place as usize)
        .filter(|place| certain(&log.ops[*place]))
        .collect();
    writes.sort_unstable_by_key(|place| (log.ops[*place].end, *place));
    writes
}
