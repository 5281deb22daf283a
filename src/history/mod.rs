//! Histories: what happened in a run.

pub mod file;
pub mod log;
pub mod record;

use record::History;

/// The first step or operation in which two histories differ, in words; `None` when they
/// are the same. Two runs of one seed that differ have a leak: wall clock, entropy, hash-map
/// order, or state of the pattern that outlives its process.
pub fn first_difference(one: &History, other: &History) -> Option<String> {
    let steps = one.steps.iter().zip(&other.steps).enumerate().find(|(_, (a, b))| a != b);
    if let Some((number, (a, b))) = steps {
        return Some(format!(
            "step {} ({} of {}): first {a:?}, then {b:?}",
            number + 1,
            a.kind.name(),
            a.op
        ));
    }
    let ops = one.ops.iter().zip(&other.ops).enumerate().find(|(_, (a, b))| a != b);
    if let Some((number, (a, b))) = ops {
        return Some(format!("operation {} ({}): first {a:?}, then {b:?}", number + 1, a.id));
    }
    let counts = |h: &History| (h.steps.len(), h.ops.len(), h.commits.len(), h.faults.len());
    (counts(one) != counts(other)).then(|| {
        format!(
            "steps, operations, commits, faults: first {:?}, then {:?}",
            counts(one),
            counts(other)
        )
    })
}
