//! A Wing-Gong-Lowe search with a cache of (set of operations, value), as Porcupine does it.

use std::collections::HashSet;
use std::time::Instant;

use staleproof::history::log::{Kind, Op, Value};

/// Wing and Gong's search with Lowe's cache: whether it came to an end in time.
pub fn wing_gong_lowe(ops: &[Op], until: Instant) -> bool {
    let mut by_start: Vec<usize> = (0..ops.len()).collect();
    by_start.sort_by_key(|place| ops[*place].start);
    let mut done = vec![0u64; ops.len().div_ceil(64)];
    let mut seen: HashSet<(Vec<u64>, Value)> = HashSet::new();
    // The operation tried, the value before it, and where to go on in the list.
    let mut stack: Vec<(usize, Value)> = Vec::new();
    let (mut now, mut next, mut first) = (Value::NULL, 0, 0);
    while stack.len() < ops.len() {
        if seen.len() & 1023 == 0 && Instant::now() > until {
            return false;
        }
        while first < by_start.len() && has(&done, by_start[first]) {
            first += 1;
        }
        let left = |place: &usize| !has(&done, *place);
        let near = by_start[first..].iter().take(4096).copied().filter(left);
        let bound = near.map(|place| ops[place].end).min().expect("some are left");
        let candidate = (next.max(first)..by_start.len())
            .take_while(|number| ops[by_start[*number]].start <= bound)
            .find(|number| {
                let op = &ops[by_start[*number]];
                left(&by_start[*number]) && (op.kind == Kind::Write || op.value == now)
            });
        match candidate {
            Some(number) => {
                let place = by_start[number];
                flip(&mut done, place);
                if seen.insert((done.clone(), ops[place].value)) {
                    stack.push((number, now));
                    (now, next) = (ops[place].value, 0);
                } else {
                    flip(&mut done, place);
                    next = number + 1;
                }
            }
            None => {
                let Some((number, before)) = stack.pop() else { return true };
                flip(&mut done, by_start[number]);
                (now, next, first) = (before, number + 1, 0);
            }
        }
    }
    true
}

fn has(done: &[u64], place: usize) -> bool {
    done[place / 64] >> (place % 64) & 1 == 1
}

fn flip(done: &mut [u64], place: usize) {
    done[place / 64] ^= 1 << (place % 64);
}
