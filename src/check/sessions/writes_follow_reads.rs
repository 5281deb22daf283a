//! Writes follow reads: who has seen a write also sees what its writer had read before.

use super::{Informed, Past};
use crate::check::found::Found;

/// Judges each read after one that saw such a write. A finding has the writer's read and write,
/// then the two reads.
pub fn judge(past: &Past<'_>) -> Found {
    let mut found = Found::default();
    for Informed { read, earlier, seen, floor: based_on } in past.informed(|writer| writer.read) {
        found.tested += 1;
        if past.is_older(read, based_on) {
            found.add(vec![based_on, seen, earlier, read]);
        }
    }
    found
}
