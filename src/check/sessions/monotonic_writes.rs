//! Monotonic writes: who has seen a client's write also sees those that it wrote before.

use super::{Informed, Past};
use crate::check::found::Found;

/// Judges each read after one that saw a client's second write. A finding has the two writes
/// and the two reads.
pub fn judge(past: &Past<'_>) -> Found {
    let mut found = Found::default();
    for Informed { read, earlier, seen, floor: first } in past.informed(|writer| writer.wrote) {
        found.tested += 1;
        if past.is_of(read, first) || past.is_older(read, first) {
            found.add(vec![first, seen, earlier, read]);
        }
    }
    found
}
