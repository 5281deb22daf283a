//! Reads of absence: which delete served them?
//!
//! Deletes all write the same value, so the zone theorem does not cover reads of it. Zones of
//! values that are written once leave gaps of time; everything else can be placed at a point
//! of its interval outside all forward zones. A sweep in time order keeps one bit, whether
//! the register is empty, and is lazy: a delete fires when a read of absence would otherwise
//! be too late (the open one with the earliest deadline) or when the delete itself would be;
//! a cluster is placed when the register holds a value anyway, just in front of a delete, or
//! when it would be too late.
//!
//! At equal times everything opens first, since equal stamps mean concurrent; then due reads,
//! due deletes, due clusters, and last the forward zones that begin. What would be due inside a
//! forward zone is due when that zone begins.
//!
//! No answer rests on this sweep alone: an order is checked, and so is the counting argument
//! into which a failure is turned (`verify`). The argument is found along alternating paths
//! from the read that no delete is left for: each delete that could have served it was used
//! for an earlier read, each delete that could have served that one ..., until the set is
//! closed; then it has one delete less than reads, as in Hall's theorem.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::blocks::Blocks;
use super::clusters::{Cluster, Clusters, Reads, Role, end, start};
use super::nearly;
use super::witness::violation;
use super::{Proof, Violation};
use crate::history::log::{Op, Value};

struct Sweep<'a> {
    ops: &'a [Op],
    initial: Value,
    reads: Reads,
    empty: bool,
    /// The order found so far.
    order: Vec<usize>,
    waiting_clusters: Vec<u32>,
    waiting_reads: Vec<u32>,
    open_deletes: BinaryHeap<Reverse<(u64, u32)>>,
    /// By tag: whether it is in the order.
    placed: Vec<bool>,
    /// The reads for which a delete was fired, with that delete.
    demands: Vec<(u32, u32)>,
}

/// Places everything, or proves that it cannot be. The clusters must not conflict.
///
/// Returns an order of all operations that are in clusters.
pub(super) fn sweep(
    ops: &[Op],
    initial: Value,
    clusters: &Clusters,
) -> Result<Vec<usize>, Violation> {
    let mut sweep = Sweep {
        ops,
        initial,
        reads: Reads::new(ops, clusters.values.len()),
        empty: initial == Value::NULL,
        order: Vec::with_capacity(ops.len()),
        waiting_clusters: Vec::new(),
        waiting_reads: Vec::new(),
        open_deletes: BinaryHeap::new(),
        placed: vec![false; ops.len()],
        demands: Vec::new(),
    };
    let openings = openings(ops, clusters);
    let mut opening = openings.iter().peekable();
    let mut left = clusters.all.as_slice();
    while let Some(first) = left.first() {
        while let Some((.., tag, role)) = opening.next_if(|(time, ..)| *time <= first.first_end) {
            sweep.opens(*tag, *role);
        }
        let (due, later) = left.split_at(due_together(left));
        sweep.due(due).map_err(|read| sweep.shortage(read))?;
        left = later;
    }
    Ok(sweep.order)
}

/// When everything opens that is no forward zone, with its tag and role.
fn openings(ops: &[Op], clusters: &Clusters) -> Vec<(u64, u32, Role)> {
    let single = clusters.all.iter().filter(|cluster| !cluster.is_forward());
    let mut openings: Vec<(u64, u32, Role)> = Vec::with_capacity(clusters.all.len());
    openings.extend(single.map(|cluster| (cluster.last_start, cluster.tag, cluster.role)));
    let unknown = |op: &Op| op.may_write() && op.value == Value::NULL && end(op) == u64::MAX;
    let unknown = ops.iter().enumerate().filter(|(_, op)| unknown(op));
    openings.extend(unknown.map(|(place, op)| (start(op), place as u32, Role::Delete)));
    nearly::sort(&mut openings, |opening| *opening);
    openings
}

/// How many of these become due at the same time: when the first does, or inside the forward
/// zone that begins then. No second one can, since forward zones are disjoint.
fn due_together(clusters: &[Cluster]) -> usize {
    let (mut until, mut due) = (clusters[0].first_end + 1, 0);
    while let Some(cluster) = clusters.get(due).filter(|cluster| cluster.first_end < until) {
        until = until.max(cluster.last_start);
        due += 1;
    }
    due
}

impl Sweep<'_> {
    fn opens(&mut self, tag: u32, role: Role) {
        match role {
            Role::Read if self.empty => self.place(tag),
            Role::Read => self.waiting_reads.push(tag),
            Role::Delete => {
                self.open_deletes.push(Reverse((end(&self.ops[tag as usize]), tag)));
            }
            Role::Value => self.waiting_clusters.push(tag),
        }
    }

    /// Deals with all that is due at one time; fails with a read for which no delete is left.
    fn due(&mut self, due: &[Cluster]) -> Result<(), u32> {
        for role in [Role::Read, Role::Delete, Role::Value] {
            for cluster in due.iter().filter(|one| one.role == role && !one.is_forward()) {
                if !self.placed[cluster.tag as usize] {
                    self.place_due(role, cluster.tag)?;
                }
            }
        }
        if let Some(zone) = due.iter().find(|cluster| cluster.is_forward()) {
            self.place_clusters();
            self.reads.expand(self.ops, self.initial, zone.tag, &mut self.order);
            self.empty = false;
        }
        Ok(())
    }

    fn place_due(&mut self, role: Role, tag: u32) -> Result<(), u32> {
        match role {
            Role::Read => {
                let delete = self.next_delete().ok_or(tag)?;
                self.demands.push((tag, delete));
                self.fire(delete);
            }
            Role::Delete => self.fire(tag),
            Role::Value => {
                self.place_clusters();
                self.empty = false;
            }
        }
        Ok(())
    }

    fn next_delete(&mut self) -> Option<u32> {
        loop {
            let Reverse((_, delete)) = self.open_deletes.pop()?;
            if !self.placed[delete as usize] {
                return Some(delete);
            }
        }
    }

    fn place(&mut self, tag: u32) {
        self.placed[tag as usize] = true;
        self.reads.expand(self.ops, self.initial, tag, &mut self.order);
    }

    fn place_clusters(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting_clusters);
        waiting.drain(..).for_each(|tag| self.place(tag));
        // Its room serves the next ones.
        self.waiting_clusters = waiting;
    }

    fn fire(&mut self, delete: u32) {
        self.place_clusters();
        self.place(delete);
        self.empty = true;
        std::mem::take(&mut self.waiting_reads).into_iter().for_each(|read| self.place(read));
    }

    /// Turns the failure to serve a read into a set of reads with too few deletes.
    fn shortage(&self, read: u32) -> Violation {
        let (ops, initial) = (self.ops, self.initial);
        let blocks = Blocks::new(ops, initial);
        let mut reads = vec![read as usize];
        let mut left = self.demands.clone();
        let needs = loop {
            reads.sort_unstable_by_key(|read| (ops[*read].end, *read));
            let needs = blocks.needs(reads.iter().map(|read| &ops[*read]));
            let before = reads.len();
            left.retain(|(read, delete)| {
                let joins = needs.by(&ops[*delete as usize]);
                reads.extend(joins.then_some(*read as usize));
                !joins
            });
            if reads.len() == before {
                break needs;
            }
        };
        let could = |op: &Op| op.may_write() && op.value == Value::NULL && needs.by(op);
        let deletes: Vec<usize> = (0..ops.len()).filter(|place| could(&ops[*place])).collect();
        let initial = initial == Value::NULL && needs.by_the_start();
        let separators = reads.iter().flat_map(|read| blocks.in_front_of(ops, &ops[*read]));
        let used = reads.iter().chain(&deletes).copied().chain(separators).collect();
        violation(ops, Proof::TooFewDeletes { reads, deletes, initial }, used)
    }
}
