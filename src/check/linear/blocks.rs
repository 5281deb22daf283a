//! Times at which some value must have been there, for the counting argument of `nulls`.

use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;
use crate::time::Time;

/// Times at which some value must have been there: of every value that is written once, and
/// of every single operation.
pub(super) struct Blocks {
    /// By first end, each with the last start and the operations of the one that starts last up to
    /// there.
    by_end: Vec<Block>,
    /// Last start and first end; by last start, with the least first end from there on.
    by_start: Vec<(Time, Time)>,
}

/// Operations that stand together and leave a value, so that nothing comes between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    first_end: Time,
    last_start: Time,
    /// The operation that starts last, by place.
    last: usize,
    /// The operation that ends first, by place.
    first: usize,
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
        let mut by_end: Vec<Block> = alone
            .map(|(place, op)| Block {
                first_end: op.end,
                last_start: op.start,
                last: place,
                first: place,
            })
            .collect();
        by_end.extend(values_written_once(ops, initial));
        let mut by_start: Vec<_> = by_end.iter().map(|b| (b.last_start, b.first_end)).collect();
        by_end.sort_unstable();
        let mut most = (Time::ZERO, 0, 0);
        for block in &mut by_end {
            most = most.max((block.last_start, block.last, block.first));
            (block.last_start, block.last, block.first) = most;
        }
        by_start.sort_unstable();
        let mut least = Time::NEVER;
        for (_, end) in by_start.iter_mut().rev() {
            least = least.min(*end);
            *end = least;
        }
        Blocks { by_end, by_start }
    }

    /// The last value that must be in front of a read.
    fn in_front(&self, read: &Op) -> Option<&Block> {
        let before = self.by_end.partition_point(|block| block.first_end < read.start);
        self.by_end.get(before.checked_sub(1)?)
    }

    /// Operations that show which value must be in front of a read, if any: one that was over
    /// before it and that no delete in question was in time for, or one for each.
    pub fn in_front_of(&self, ops: &[Op], read: &Op) -> impl Iterator<Item = usize> + use<> {
        let shown = self.in_front(read).map(|block| {
            let (first, last) = (&ops[block.first], &ops[block.last]);
            match () {
                () if last.precedes(read) => (Some(block.last), None),
                () if first.start >= last.start => (Some(block.first), None),
                () => (Some(block.first), Some(block.last)),
            }
        });
        let (one, two) = shown.unwrap_or_default();
        one.into_iter().chain(two)
    }

    /// When a delete that serves one of these reads must act; they are given by their end.
    pub fn needs<'a>(&self, reads: impl Iterator<Item = &'a Op>) -> Needs {
        let window = |read: &Op| {
            let behind = self.by_start.partition_point(|(start, _)| *start <= read.end);
            let first_behind = self.by_start.get(behind).map_or(Time::NEVER, |(_, end)| *end);
            (self.in_front(read).map(|block| block.last_start), first_behind.min(read.end))
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

/// Each value that was written once and read.
fn values_written_once(ops: &[Op], initial: Value) -> Vec<Block> {
    let most = ops.iter().map(|op| op.value.0).max().unwrap_or(0).max(initial.0) as usize;
    let none = Block { first_end: Time::NEVER, last_start: Time::ZERO, last: 0, first: 0 };
    let mut all = vec![(none, 0, false); most + 1];
    all[initial.0 as usize].1 = 1;
    for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read() || op.may_write()) {
        let (block, writes, read) = &mut all[op.value.0 as usize];
        (block.last_start, block.last) = (block.last_start, block.last).max((op.start, place));
        (block.first_end, block.first) = (block.first_end, block.first).min((op.deadline(), place));
        *writes += usize::from(op.kind == Kind::Write);
        *read |= op.kind == Kind::Read;
    }
    let certain = all.iter().skip(1).filter(|(_, writes, read)| *writes == 1 && *read);
    certain.map(|(block, ..)| *block).collect()
}
