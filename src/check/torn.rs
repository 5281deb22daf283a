//! Torn views: reads that belong to one operation returned values that were never there at
//! one time.

use super::found::Found;
use super::values::Values;
use crate::history::log::Log;
use crate::time::Time;

/// Judges all groups with reads of several keys. A finding has two reads of one group: what
/// the first returned had been replaced before the other's value was written.
pub fn judge(log: &Log, values: &Values) -> Found {
    let mut found = Found::default();
    let mut reads: Vec<(u32, usize)> = log
        .ops
        .iter()
        .enumerate()
        .filter(|(_, op)| op.has_read())
        .map(|(place, _)| (log.extra(place).group, place))
        .filter(|(group, _)| *group > 0)
        .collect();
    reads.sort_unstable();
    for group in reads.chunk_by(|one, other| one.0 == other.0) {
        let window = |place: usize| -> (Time, Time) {
            let op = &log.ops[place];
            let known = values.seen(op);
            (known.first_start, known.replaced)
        };
        let known = |place: &usize| {
            let op = &log.ops[*place];
            values.get(op.key, op.value).writes > 0
        };
        let places = || group.iter().map(|(_, place)| *place).filter(known);
        let Some(first) = places().next() else { continue };
        if places().all(|place| log.ops[place].key == log.ops[first].key) {
            continue;
        }
        found.tested += 1;
        let begun_last = places().max_by_key(|place| (window(*place).0, *place));
        let gone_first = places().min_by_key(|place| (window(*place).1, *place));
        if let (Some(begun_last), Some(gone_first)) = (begun_last, gone_first)
            && window(gone_first).1 < window(begun_last).0
        {
            found.add(vec![gone_first, begun_last]);
        }
    }
    found
}
