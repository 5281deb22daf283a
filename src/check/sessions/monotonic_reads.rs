//! Monotonic reads: a client reads nothing older than what it read before.

use super::Past;
use crate::check::found::Found;

/// Judges each read of a client that had read the key. A finding has both reads.
pub fn judge(past: &Past<'_>) -> Found {
    let mut found = Found::default();
    for (read, session) in past.reads() {
        let Some(earlier) = session.read else { continue };
        found.tested += 1;
        if past.is_older(read, earlier) {
            found.add(vec![earlier, read]);
        }
    }
    found
}
