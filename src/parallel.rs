//! Threads, in the two shapes that do not change a result: an ordered map, and a pipeline of
//! two stages.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// How many numbers a thread takes at once.
const BLOCK: usize = 16;
/// How many items may wait between the stages of a pipeline.
const WAITING: usize = 3;

/// The results for all numbers below `count`, in their order, computed on all cores.
pub fn map<T: Send>(count: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(count);
    if workers < 2 {
        return (0..count).map(each).collect();
    }
    let next = AtomicUsize::new(0);
    let block = BLOCK.min(count.div_ceil(workers));
    let done = Mutex::new(Vec::with_capacity(count.div_ceil(block)));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let from = next.fetch_add(block, Ordering::Relaxed);
                    if from >= count {
                        break;
                    }
                    let results: Vec<T> = (from..count.min(from + block)).map(&each).collect();
                    done.lock().expect("no thread panics with the lock").push((from, results));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panicked with the lock");
    done.sort_unstable_by_key(|(from, _)| *from);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// Produces on one thread and consumes, in the same order, on the caller's, until there is no
/// more or the consumer answers `false`.
pub fn pipeline<T: Send>(
    mut produce: impl FnMut() -> Option<T> + Send,
    mut consume: impl FnMut(T) -> bool,
) {
    thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        scope.spawn(move || {
            while let Some(item) = produce() {
                if send.send(item).is_err() {
                    break;
                }
            }
        });
        while let Ok(item) = receive.recv() {
            if !consume(item) {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order() {
        for count in [0, 1, 7, 1000] {
            assert_eq!(map(count, |n| n * n), (0..count).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_pipeline_keeps_the_order_and_can_be_left() {
        let mut numbers = 0..100;
        let mut seen = Vec::new();
        pipeline(
            || numbers.next(),
            |number| {
                seen.push(number);
                number < 50
            },
        );
        assert_eq!(seen, (0..=50).collect::<Vec<_>>());
    }
}
