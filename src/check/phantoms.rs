//! Phantoms: a value was read that was never committed.

use super::found::Found;
use super::values::Values;
use crate::history::log::Log;
use crate::history::record::Effect;

/// Judges all reads that found a value. A finding has the read and, where it is known, the
/// write that had no effect.
pub fn judge(log: &Log, values: &Values) -> Found {
    let mut found = Found::default();
    for (place, op) in log.ops.iter().enumerate() {
        if !op.has_read() || op.value.0 == 0 {
            continue;
        }
        found.tested += 1;
        let known = values.get(op.key, op.value);
        let without_effect = |write: u32| log.extra(write as usize).effect == Some(Effect::None);
        let write = known.write.filter(|write| known.writes == 1 && without_effect(*write));
        if known.writes == 0 || write.is_some() {
            found.add(std::iter::once(place).chain(write.map(|write| write as usize)).collect());
        }
    }
    found
}
