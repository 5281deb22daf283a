//! Durability: an acknowledged write that no later state contains.

use super::found::Found;
use super::values::{Values, acknowledged_by_end, reads_by_start};
use crate::history::log::Log;
use crate::history::record::{Effect, KeyId};
use crate::time::Time;

/// Judges all acknowledged writes.
///
/// One is lost if the history says that it never was committed, or, where nothing is said, if
/// every later read, of which there is at least one, returned something certainly older. A
/// finding has the write, and the last read that shows it.
pub fn judge(log: &Log, values: &Values) -> Found {
    let mut found = Found::default();
    for key in 0..log.keys() {
        let key = KeyId(key as u32);
        let reads = reads_by_start(log, values.ops(key));
        // From each read on: the end of the newest value that is read.
        let mut newest = vec![None; reads.len() + 1];
        for (number, read) in reads.iter().enumerate().rev() {
            let known = values.seen(&log.ops[*read]);
            let end = if known.writes == 0 { Some(Time::NEVER) } else { known.last_end };
            newest[number] = newest[number + 1].max(end);
        }
        for write in acknowledged_by_end(log, values.ops(key)) {
            let op = &log.ops[write];
            let later = reads.partition_point(|read| log.ops[*read].start <= op.end);
            let effect = log.extra(write).effect;
            if effect.is_none() && later == reads.len() {
                continue;
            }
            found.tested += 1;
            let last = reads.last().copied().filter(|_| later < reads.len());
            let unsaid = effect != Some(Effect::Committed);
            let replaced_by_older = unsaid && later < reads.len() && newest[later] < Some(op.start);
            if effect == Some(Effect::None) || replaced_by_older {
                found.add(std::iter::once(write).chain(last).collect());
            }
        }
    }
    found
}
