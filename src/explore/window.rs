//! Whether a schedule has entered the window in which a race is lost or won. Patterns mark their
//! own places; these are seen from outside, so that a pattern that has no such place, being safe
//! in another way, is still shown to have been put to the test.

use crate::history::record::{History, OpRecord};
use crate::operation::OpKind;
use crate::scenario::Window;

/// Whether a history has entered a window. Operations under way do not count yet.
pub(super) fn entered(window: Window, history: &History) -> bool {
    let commits_of = |op: &OpRecord| {
        let key = op.key;
        history.commits.iter().filter(move |commit| commit.key == key).map(|commit| commit.at)
    };
    let mut reads = history.ops.iter().filter(|op| op.kind == OpKind::Read);
    let first_reads = reads.clone();
    match window {
        Window::FaultStruck => !history.faults.is_empty(),
        Window::Committed => !history.commits.is_empty(),
        Window::CommitDuringRead => {
            reads.any(|read| commits_of(read).any(|at| read.start < at && at < read.end))
        }
        Window::CommitAfterRead => reads.any(|read| commits_of(read).any(|at| read.end < at)),
        Window::ReadAfterCommit => reads.any(|read| {
            let mut first = first_reads.clone();
            first.any(|first| {
                first.key == read.key
                    && commits_of(read).any(|at| first.end < at && at < read.start)
            })
        }),
        Window::ReadAgain => reads.any(|read| {
            let mut first = first_reads.clone();
            first.any(|first| first.end < read.start)
        }),
        Window::ReadsOverlap => overlap(reads),
        Window::WritesOverlap => overlap(history.ops.iter().filter(|op| op.kind.writes())),
    }
}

/// Whether two operations on one row were under way at once.
fn overlap<'a>(ops: impl Iterator<Item = &'a OpRecord> + Clone) -> bool {
    ops.clone().any(|one| {
        let mut others = ops.clone();
        others.any(|other| {
            one.id != other.id
                && one.key == other.key
                && one.start < other.end
                && other.start < one.end
        })
    })
}
