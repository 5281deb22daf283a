//! A second opinion where the database's versions are in the history: one sweep in time order.
//!
//! A key's versions are the order of its commits. If an operation begins after another had
//! ended that showed a newer version, it is stale. Where the versions of *all* reads and
//! acknowledged writes are known and this finds nothing, ordering everything by version is a
//! linearization; so if the judge of intervals then says "violated", one of the two is wrong
//! (or a version is), which is reported as a bug. The reverse happens honestly: versions tell
//! the order of two writes that overlap.

use super::found::Found;
use super::values::Values;
use crate::history::log::{Kind, Log, Op};
use crate::history::record::KeyId;
use crate::operation::Outcome;

/// What the versions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Operations that showed an older version than one that had ended before them. A finding
    /// has the newer operation, then the older one.
    pub backwards: Found,
    /// Keys all of whose reads and acknowledged writes have versions, and whose versions go
    /// nowhere backwards, nor does one stand for two values.
    pub sound: Vec<KeyId>,
}

/// Sweeps over all keys.
pub fn judge(log: &Log, values: &Values) -> Versions {
    let mut versions = Versions::default();
    if log.extras.is_empty() {
        return versions;
    }
    for key in 0..log.keys() {
        let key = KeyId(key as u32);
        versions.sweep(log, values, key);
    }
    versions
}

impl Versions {
    fn sweep(&mut self, log: &Log, values: &Values, key: KeyId) {
        let certain = |op: &Op| op.outcome == Outcome::Ok;
        let mut by_start: Vec<usize> =
            values.ops(key).iter().map(|place| *place as usize).collect();
        by_start.retain(|place| certain(&log.ops[*place]));
        let all = by_start.len();
        by_start.retain(|place| log.extra(*place).version.is_some());
        let complete = all > 0 && all == by_start.len();
        let mut by_end = by_start.clone();
        by_start.sort_unstable_by_key(|place| (log.ops[*place].start, *place));
        by_end.sort_unstable_by_key(|place| (log.ops[*place].end, *place));
        let mut ended = by_end.into_iter().peekable();
        let mut newest: Option<(u64, usize)> = None;
        let before = self.backwards.count;
        for place in &by_start {
            let version = log.extra(*place).version.unwrap_or(0);
            while let Some(other) =
                ended.next_if(|other| log.ops[*other].precedes(&log.ops[*place]))
            {
                newest = newest.max(Some((log.extra(other).version.unwrap_or(0), other)));
            }
            self.backwards.tested += 1;
            if let Some((_, other)) = newest.filter(|(newest, _)| *newest > version) {
                self.backwards.add(vec![other, *place]);
            }
        }
        if complete && self.backwards.count == before && is_sound(log, values, key, &by_start) {
            self.sound.push(key);
        }
    }
}

/// Whether each version stands for one value that was written once, and in time.
fn is_sound(log: &Log, values: &Values, key: KeyId, places: &[usize]) -> bool {
    let version = |place: usize| log.extra(place).version;
    let mut pairs: Vec<_> =
        places.iter().map(|place| (version(*place), log.ops[*place].value)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let one_value_each = pairs.windows(2).all(|two| two[0].0 != two[1].0);
    pairs.sort_unstable_by_key(|(version, value)| (*value, *version));
    let one_version_each = pairs.windows(2).all(|two| two[0].1 != two[1].1);
    one_value_each
        && one_version_each
        && places.iter().all(|place| {
            let op = &log.ops[*place];
            let known = values.get(key, op.value);
            let in_time = op.kind == Kind::Write || known.first_start <= op.end;
            let same = known.write.and_then(|write| version(write as usize));
            known.writes == 1 && in_time && (same.is_none() || same == version(*place))
        })
}
