//! Times at which some value must have been there, for the counting argument of `nulls`.

use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;
use crate::time::Time;

/// Times at which some value must have been there: of every value that is written once, and
/// of every single operation.
pub(super) struct Blocks {
    /// First end, last start and last starter; by first end, with the largest last start up
    /// to there.
    by_end: Vec<(Time, Time, usize)>,
    /// Last start and first end; by last start, with the least first end from there on.
    by_start: Vec<(Time, Time)>,
}

/// When a delete must act to serve one of several reads of absence.
pub(super) struct Needs {
    /// By the end of the reads, so the second times ascend: not after that, and not before the
    /// first time, the least of those from there on. `None`: no value was written in front.
    windows: Vec<(Option<Time>, Time)>,
}

impl Needs {
    /// Whether this delete could.
    pub fn by(&self, delete: &Op) -> bool {
        let in_time = self.windows.partition_point(|(_, until)| *until < delete.start);
        self.windows.get(in_time).is_some_and(|(from, _)| *from <= Some(delete.deadline()))
    }

    /// Whether the absence at the start could.
    pub fn by_the_start(&self) -> bool {
        self.windows.iter().any(|(from, _)| from.is_none())
    }
}

impl Blocks {
    pub fn new(ops: &[Op], initial: Value) -> Blocks {
        let certain = |op: &Op| op.outcome == Outcome::Ok && op.value != Value::NULL;
        let alone = ops.iter().enumerate().filter(|(_, op)| certain(op));
        let mut by_end: Vec<_> = alone.map(|(place, op)| (op.end, op.start, place)).collect();
        by_end.extend(values_written_once(ops, initial));
        let mut by_start: Vec<_> = by_end.iter().map(|(end, start, _)| (*start, *end)).collect();
        by_end.sort_unstable();
        let mut most = (Time::ZERO, 0);
        for (_, start, place) in &mut by_end {
            most = most.max((*start, *place));
            (*start, *place) = most;
        }
        by_start.sort_unstable();
        let mut least = Time::NEVER;
        for (_, end) in by_start.iter_mut().rev() {
            least = least.min(*end);
            *end = least;
        }
        Blocks { by_end, by_start }
    }

    /// The last value that must be in front of a read: its first end, last start, last starter.
    fn in_front(&self, read: &Op) -> Option<&(Time, Time, usize)> {
        let before = self.by_end.partition_point(|(end, ..)| *end < read.start);
        self.by_end.get(before.checked_sub(1)?)
    }

    /// The operation of the last value that must be in front of a read.
    pub fn in_front_of(&self, read: &Op) -> Option<usize> {
        self.in_front(read).map(|(_, _, place)| *place)
    }

    /// When a delete that serves one of these reads must act; they are given by their end.
    pub fn needs<'a>(&self, reads: impl Iterator<Item = &'a Op>) -> Needs {
        let window = |read: &Op| {
            let behind = self.by_start.partition_point(|(start, _)| *start <= read.end);
            let first_behind = self.by_start.get(behind).map_or(Time::NEVER, |(_, end)| *end);
            (self.in_front(read).map(|(_, start, _)| *start), first_behind.min(read.end))
        };
        let mut windows: Vec<_> = reads.map(window).collect();
        let mut least = Some(Time::NEVER);
        for (from, _) in windows.iter_mut().rev() {
            least = least.min(*from);
            *from = least;
        }
        Needs { windows }
    }
}

/// First end, last start and last starter of each value that was written once and read.
fn values_written_once(ops: &[Op], initial: Value) -> Vec<(Time, Time, usize)> {
    let most = ops.iter().map(|op| op.value.0).max().unwrap_or(0).max(initial.0) as usize;
    let mut all = vec![(Time::NEVER, Time::ZERO, 0, 0, false); most + 1];
    all[initial.0 as usize].3 = 1;
    for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read() || op.may_write()) {
        let of = &mut all[op.value.0 as usize];
        (of.1, of.2) = (of.1, of.2).max((op.start, place));
        of.0 = of.0.min(op.deadline());
        of.3 += usize::from(op.kind == Kind::Write);
        of.4 |= op.kind == Kind::Read;
    }
    let certain = all.iter().skip(1).filter(|(.., writes, read)| *writes == 1 && *read);
    certain.map(|(end, start, place, ..)| (*end, *start, *place)).collect()
}
