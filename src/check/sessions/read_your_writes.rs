//! Read your writes: a client reads nothing older than what it wrote before.

use super::Past;
use crate::check::found::Found;

/// Judges each read of a client that had written the key. A finding has the write, the read.
pub fn judge(past: &Past<'_>) -> Found {
    let mut found = Found::default();
    for (read, session) in past.reads() {
        let Some(write) = session.wrote else { continue };
        found.tested += 1;
        if past.is_older(read, write) {
            found.add(vec![write, read]);
        }
    }
    found
}
