//! The zone theorem: Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4).
//!
//! Cluster `i` comes before cluster `j` iff some operation of `i` precedes some operation of
//! `j`: `i.first_end < j.last_start`. Since the operations of a cluster stand together in
//! every linearization, the clusters can be ordered iff this relation has no cycle, and a
//! shortest cycle has length two: let `i` be the node of a cycle with the least `first_end`
//! and `p` its predecessor. If `i` comes before `p`, these two are the cycle. Otherwise
//! `p.last_start <= i.first_end`, but the predecessor `q` of `p` has
//! `q.first_end < p.last_start <= i.first_end`, against the choice of `i`.
//!
//! So a key is linearizable iff no two clusters each come before the other. At least one of
//! such two is a *forward* zone (`first_end < last_start`): two backward ones would need
//! `i.first_end < j.last_start <= j.first_end < i.last_start <= i.first_end`.

use super::clusters::{Cluster, Clusters, Reads};
use crate::history::log::{Op, Value};

impl Cluster {
    /// Whether some operation of this one precedes some operation of the other.
    pub fn before(&self, other: &Cluster) -> bool {
        self.first_end < other.last_start
    }

    /// Whether its value must be there during an interval of time.
    pub fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }
}

/// Whether two clusters of the list, which is sorted by `first_end`, conflict.
///
/// While no conflict was met, forward zones are disjoint. So the zone that begins last is enough
/// to look back at: it is the last forward one, or nothing later can conflict with what is before
/// it.
pub(super) fn conflict(clusters: &[Cluster]) -> bool {
    let Some((mut last, later)) = clusters.split_first() else { return false };
    for cluster in later {
        if cluster.first_end < last.last_start && last.before(cluster) {
            return true;
        }
        if cluster.last_start > last.last_start {
            last = cluster;
        }
    }
    false
}

/// An order of all operations, for clusters of which no two conflict and that cover them.
///
/// Forward zones stand where they begin, all others at the first point of their interval that
/// lies in no forward zone; at one point those others come first, and a forward zone that
/// begins there after them.
pub(super) fn order(ops: &[Op], initial: Value, clusters: &Clusters) -> Vec<usize> {
    let mut forward: Vec<&Cluster> = clusters.all.iter().filter(|c| c.is_forward()).collect();
    forward.sort_unstable_by_key(|zone| zone.first_end);
    let point = |cluster: &Cluster| {
        let begun = forward.partition_point(|zone| zone.first_end < cluster.last_start);
        let zone = begun.checked_sub(1).map(|last| forward[last]);
        zone.map_or(cluster.last_start, |zone| zone.last_start.max(cluster.last_start))
    };
    let mut placed: Vec<(u64, bool, u32)> = clusters
        .all
        .iter()
        .map(|cluster| match cluster.is_forward() {
            true => (cluster.first_end, true, cluster.tag),
            false => (point(cluster), false, cluster.tag),
        })
        .collect();
    placed.sort_unstable();
    let reads = Reads::new(ops, clusters.values.len());
    let mut order = Vec::with_capacity(ops.len());
    placed.into_iter().for_each(|(.., tag)| reads.expand(ops, initial, tag, &mut order));
    order
}
