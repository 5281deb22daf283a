//! What may differ between model and memcached 1.6.18. This list is the only place.
//!
//! In replies, where both sides must still have a number in the same place:
//! - `t` and `exp=` (what remains of a life) may differ by 2 in the run without a common
//!   clock: the tick may fall between the two executions. `time.rs` compares them exactly.
//! - `l` and `la=` (seconds since the last access): memcached's background thread moves
//!   items between its LRU segments, and only some of the moves renew the time.
//! - `cls=`: slab classes are not modelled.
//!
//! Where the two differ, the sequence ends and is not counted as a difference:
//! - counting from a number of 2^63 or more: memcached looks for a minus sign behind it as
//!   far as the memory behind the item has no zero byte, and then calls it non-numeric.
//!
//! Avoided by waiting for a moment, and by starting memcached without its LRU threads:
//! - a counter that another connection is just sending, or a background thread is moving:
//!   memcached then makes a new item even when the text does not become longer, so it is
//!   not padded, and `T` is lost. The model has no such moments.
//!
//! Not generated at all:
//! - a `flush_all` with a delay while items that an earlier flush has hidden are still in
//!   memory: it brings them back, unless the background thread has removed them before.
//!   `quirks.rs` shows that both sides do it;
//! - the numbers of `stats`, and which names it has;
//! - `watch`, `slabs`, `lru`, `lru_crawler`, `stats detail|cachedump|sizes|conns`: they are
//!   about what is not modelled; the embedded server refuses them as memcached does when
//!   started with `-W` and `-X`, or with `ERROR`;
//! - a bad data chunk behind a value of more than 500 KB: memcached 1.6.18 aborts on it
//!   where assertions are compiled in;
//! - an opaque of more than 31 bytes on `ma`, or on `mg` without `u`: memcached has fetched
//!   or changed the item, in part, when it notices.

/// Whether two replies that are not equal are equal but for what is exempt.
pub fn equal(real: &[u8], model: &[u8]) -> bool {
    let (mut real, mut model) = (words(real), words(model));
    loop {
        match (real.next(), model.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || alike(a, b) => {}
            _ => return false,
        }
    }
}

fn words(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    reply.split_inclusive(|byte| *byte == b' ' || *byte == b'\n')
}

fn alike(a: &[u8], b: &[u8]) -> bool {
    for (prefix, tolerance) in
        [("t", 2), ("exp=", 2), ("l", i64::MAX), ("la=", i64::MAX), ("cls=", i64::MAX)]
    {
        if let (Some(a), Some(b)) = (after(a, prefix), after(b, prefix)) {
            return (a - b).abs() <= tolerance;
        }
    }
    false
}

fn after(word: &[u8], prefix: &str) -> Option<i64> {
    let rest = word.strip_prefix(prefix.as_bytes())?;
    std::str::from_utf8(rest).ok()?.trim_end().parse().ok()
}
