//! Events by time, first in first out among those of one time.
//!
//! A run with a few clients has a few events ahead, and there a short sorted list beats a
//! heap: the next event is taken from its end, and a new one finds its place among the
//! soonest. What does not fit waits in a heap, so that many clients cost a logarithm.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::Time;

/// Longer, moving entries within the list costs more than the heap.
const SOON_MAX: usize = 32;

/// A queue of events.
pub(crate) struct Queue<E> {
    /// The soonest events, the next one last; none is later than any in `later`.
    soon: Vec<Due<E>>,
    later: BinaryHeap<Reverse<Due<E>>>,
    pushed: u64,
}

#[derive(Clone, Copy)]
struct Due<E> {
    at: Time,
    /// The order in which events were pushed; no two are equal.
    order: u64,
    event: E,
}

impl<E: Copy> Queue<E> {
    pub fn new() -> Queue<E> {
        Queue { soon: Vec::with_capacity(SOON_MAX + 1), later: BinaryHeap::new(), pushed: 0 }
    }

    /// Adds an event that is due at a time.
    #[inline]
    pub fn push(&mut self, at: Time, event: E) {
        self.pushed += 1;
        let due = Due { at, order: self.pushed, event };
        // Whatever is there and due at the same time came earlier and leaves first.
        if self.later.peek().is_some_and(|Reverse(later)| later.at <= at) {
            self.later.push(Reverse(due));
            return;
        }
        let mut place = self.soon.len();
        self.soon.push(due);
        while place > 0 && self.soon[place - 1].at <= at {
            self.soon[place] = self.soon[place - 1];
            place -= 1;
        }
        self.soon[place] = due;
        if self.soon.len() > SOON_MAX {
            self.later.extend(self.soon.drain(..SOON_MAX / 2).map(Reverse));
        }
    }

    /// Takes the next event and its time.
    #[inline]
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let due = match self.soon.pop() {
            Some(due) => due,
            None => self.later.pop()?.0,
        };
        Some((due.at, due.event))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Due<E>) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Due<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Due<E>) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Due<E> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_leave_by_time_and_then_in_the_order_they_came(
            times in prop::collection::vec(prop::option::of(0..20_u64), 0..400),
        ) {
            let mut queue = Queue::new();
            let mut expected = std::collections::BTreeSet::new();
            for (number, time) in times.iter().enumerate() {
                match time {
                    Some(time) => {
                        queue.push(Time(*time), number);
                        expected.insert((Time(*time), number));
                    }
                    None => prop_assert_eq!(queue.pop(), expected.pop_first()),
                }
            }
            while let Some(next) = expected.pop_first() {
                prop_assert_eq!(queue.pop(), Some(next));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
