//! Monotonic writes: who has seen a client's write also sees those that it wrote before.

use rustc_hash::FxHashMap;

use super::{Informed, Past};
use crate::check::found::Found;
use crate::operation::ClientId;

/// Judges each read after one that saw a client's second write. A finding has the two writes
/// and the two reads.
pub fn judge(past: &Past<'_>) -> Found {
    let back = went_back(past);
    let mut found = Found::default();
    for informed in past.informed(|writer| writer.wrote) {
        found.tested += 1;
        let older = past.is_older(informed.read, informed.floor);
        let wrong = if older { Some(&informed) } else { back.get(&informed.read) };
        if let Some(Informed { read, earlier, seen, floor: first }) = wrong {
            found.add(vec![*first, *seen, *earlier, *read]);
        }
    }
    found
}

/// The reads of a write whose client had seen a later one by the same writer.
fn went_back(past: &Past<'_>) -> FxHashMap<usize, Informed> {
    let ops = &past.log.ops;
    let mut back = FxHashMap::default();
    // Of each writer the write that began last of those seen, and the read that saw it.
    let over = |seen: &mut FxHashMap<ClientId, (usize, usize)>, earlier: usize| {
        let Some(write) = past.only_write(earlier) else { return };
        let last = seen.entry(ops[write].client).or_insert((write, earlier));
        if ops[write].start > ops[last.0].start {
            *last = (write, earlier);
        }
    };
    past.walk(&past.reads, over, |seen, read| {
        let Some(first) = past.only_write(read) else { return };
        let Some((seen, earlier)) = seen.get(&ops[first].client).copied() else { return };
        if ops[first].precedes(&ops[seen]) {
            back.insert(read, Informed { read, earlier, seen, floor: first });
        }
    });
    back
}
