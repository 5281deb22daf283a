//! The plan: everything drawn before a run.
//!
//! Rows and operations come from streams keyed by purpose and client, so that one more
//! client moves nothing of the others. What an update writes is a function of seed and
//! operation and is worked out when it is needed; see [`Plan::op`].

mod keys;
mod script;

pub use script::parse_line;

use std::fmt;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rustc_hash::FxHashMap;

use crate::entity::Entity;
use crate::operation::{Action, ClientId, Op, OpId, OpKind, ProcessId};
use crate::scenario::{Group, KeyChoice, Mix, Scenario, Spread, Workload};
use crate::seed::{Purpose, Seed, below};
use crate::step::{Columns, Row, RowId, Table};
use keys::KeyTable;

/// All that will be asked in a run.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: Seed,
    rows: Vec<(Table, Row)>,
    places: FxHashMap<RowId, usize>,
    clients: Vec<ClientPlan>,
    processes: u32,
    open_loop: bool,
}

/// What one client will ask.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// The client.
    pub id: ClientId,
    /// Its process.
    pub process: ProcessId,
    /// Its operations.
    pub ops: Vec<PlannedOp>,
    rows_per_read: u32,
    rows: u32,
    /// Reads of several rows as a script gives them, by operation.
    pub(crate) several: FxHashMap<usize, Vec<RowId>>,
}

impl ClientPlan {
    /// Whether another client asks the same, one thing after the other.
    pub fn asks_the_same(&self, other: &ClientPlan) -> bool {
        self.ops == other.ops
            && self.several == other.several
            && self.rows_per_read == 1
            && other.rows_per_read == 1
    }
}

/// One operation of the plan: 16 bytes, because a long run has many millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedOp {
    /// Closed loop: the pause before it. Open loop: its arrival. In nanoseconds.
    pub wait: u64,
    /// What is done.
    pub kind: OpKind,
    row_high: u16,
    row_low: u32,
}

impl PlannedOp {
    /// An operation on a row, whose number has at most 48 bits.
    pub fn new(wait: u64, kind: OpKind, row: RowId) -> PlannedOp {
        let row_high = u16::try_from(row.0 >> 32).expect("rows of a plan have 48 bits");
        PlannedOp { wait, kind, row_high, row_low: row.0 as u32 }
    }

    /// The row.
    pub fn row(&self) -> RowId {
        RowId(u64::from(self.row_high) << 32 | u64::from(self.row_low))
    }
}

impl Plan {
    /// Draws a plan.
    pub fn draw(scenario: &Scenario, seed: Seed, entity: &dyn Entity) -> Plan {
        let workload = &scenario.workload;
        let rows: Vec<(Table, Row)> = (0..workload.rows)
            .map(|id| {
                let id = RowId(u64::from(id));
                let mut random = seed.stream(Purpose::Rows, id.0);
                let columns = entity.contents(Table(0), id, &mut random);
                (Table(0), Row { id, version: 1, writer: OpId::INITIAL, columns })
            })
            .collect();
        let places = rows.iter().enumerate().map(|(place, (_, row))| (row.id, place)).collect();
        let whole = Group {
            clients: workload.clients,
            operations: None,
            mix: None,
            keys: None,
            think: None,
            script: None,
        };
        let groups = if workload.groups.is_empty() { vec![whole] } else { workload.groups.clone() };
        let mut clients = Vec::new();
        for group in &groups {
            for _ in 0..group.clients {
                let id = ClientId(clients.len() as u32);
                let process = ProcessId(id.0 % workload.processes);
                clients.push(draw_client(workload, group, id, process, seed));
            }
        }
        let open_loop = workload.arrivals_per_second.is_some();
        Plan { seed, rows, places, clients, processes: workload.processes, open_loop }
    }

    /// A client's operations as a script that asks the same.
    pub fn script(&self, client: &ClientPlan) -> Vec<String> {
        let lines = client.ops.iter().enumerate().map(|(number, op)| {
            let id = OpId::new(client.id, number as u32 + 1);
            let rows: Vec<String> =
                self.rows_of(client, id, number, op).iter().map(|row| row.0.to_string()).collect();
            let rows = rows.join(",");
            match op.wait {
                0 => format!("{} {rows}", op.kind.name()),
                wait => format!("{} {rows} after {}ns", op.kind.name(), wait),
            }
        });
        lines.collect()
    }

    /// The rows that an operation is about.
    fn rows_of(&self, client: &ClientPlan, id: OpId, number: usize, op: &PlannedOp) -> Vec<RowId> {
        match client.several.get(&number) {
            Some(rows) => rows.clone(),
            None if op.kind == OpKind::Read && client.rows_per_read > 1 => {
                self.several(client, id, op.row())
            }
            None => vec![op.row()],
        }
    }

    /// The rows that exist at the start.
    pub fn rows(&self) -> &[(Table, Row)] {
        &self.rows
    }

    /// Every row that the plan names, in order.
    pub fn row_ids(&self) -> impl Iterator<Item = RowId> {
        let initial = self.rows.iter().map(|(_, row)| row.id);
        let named = self.clients.iter().flat_map(|client| {
            let several = client.several.values().flatten().copied();
            client.ops.iter().map(PlannedOp::row).chain(several)
        });
        initial.chain(named).collect::<std::collections::BTreeSet<RowId>>().into_iter()
    }

    /// The clients, by number.
    pub fn clients(&self) -> &[ClientPlan] {
        &self.clients
    }

    /// How many processes there are.
    pub fn processes(&self) -> u32 {
        self.processes
    }

    /// Whether operations arrive at their times rather than after the one before.
    pub fn open_loop(&self) -> bool {
        self.open_loop
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        self.clients.iter().map(|client| client.ops.len()).sum()
    }

    /// Whether some read is of several rows at once.
    pub fn reads_several(&self) -> bool {
        self.clients.iter().any(|client| client.rows_per_read > 1 || !client.several.is_empty())
    }

    /// A client's operation, with what it writes.
    pub fn op(&self, client: ClientId, number: usize, entity: &dyn Entity) -> Option<Op> {
        self.op_as(OpId::new(client, number as u32 + 1), number, entity)
    }

    /// The same without an end: after the last operation comes the first again, in the name of
    /// a new operation, so that it writes something else. `None` when there is none at all, or
    /// when a client has carried out 2^32.
    pub fn op_again(&self, client: ClientId, number: u64, entity: &dyn Entity) -> Option<Op> {
        let drawn = self.clients.get(client.0 as usize)?.ops.len() as u64;
        let id = OpId::new(client, u32::try_from(number + 1).ok()?);
        self.op_as(id, number.checked_rem(drawn)? as usize, entity)
    }

    fn op_as(&self, id: OpId, number: usize, entity: &dyn Entity) -> Option<Op> {
        let plan = self.clients.get(id.client().0 as usize)?;
        let planned = plan.ops.get(number)?;
        let row = planned.row();
        let contents = || self.contents_of(row, id, entity);
        let action = match planned.kind {
            OpKind::Read => match plan.several.get(&number) {
                Some(ids) => Action::ReadMany(ids.clone()),
                None if plan.rows_per_read > 1 => Action::ReadMany(self.several(plan, id, row)),
                None => Action::Read(row),
            },
            OpKind::Update => Action::Update(row, contents()),
            OpKind::Modify => Action::Modify(row, contents()),
            OpKind::Insert => Action::Insert(row, contents()),
            OpKind::Delete => Action::Delete(row),
        };
        Some(Op { id, table: Table(0), action })
    }

    fn several(&self, plan: &ClientPlan, id: OpId, first: RowId) -> Vec<RowId> {
        let mut ids = vec![first];
        for place in 1..u64::from(plan.rows_per_read) {
            let draw = self.seed.draw(Purpose::Operations, id.0, place);
            let row = RowId(below(draw, u64::from(plan.rows)));
            if !ids.contains(&row) {
                ids.push(row);
            }
        }
        ids
    }

    /// What an operation writes to a row: a function of the seed and both.
    pub fn contents_of(&self, row: RowId, writer: OpId, entity: &dyn Entity) -> Columns {
        let draw = self.seed.draw(Purpose::Rows, writer.0, row.0 | 1 << 63);
        self.contents_drawn(row, draw, entity)
    }

    /// What a row is changed to by this draw.
    pub(crate) fn contents_drawn(&self, row: RowId, draw: u64, entity: &dyn Entity) -> Columns {
        match self.places.get(&row) {
            Some(place) => entity.change(Table(0), &self.rows[*place].1.columns, draw),
            None => {
                let first =
                    entity.contents(Table(0), row, &mut self.seed.stream(Purpose::Rows, row.0));
                entity.change(Table(0), &first, draw)
            }
        }
    }
}

/// The row that a client's n-th insert creates. It depends on nothing else, so that clients
/// never collide and one more client moves no row of the others. The first few of each have
/// short numbers; the others lie above them, with room for 2^27 inserts of 2^17 clients.
fn inserted(client: ClientId, number: u32) -> RowId {
    const FIRST: u64 = 1 << 24;
    const SHORT: u32 = 1 << 12;
    const LONG: u64 = 1 << 45;
    let (client, place) = (u64::from(client.0), u64::from(number));
    RowId(match number < SHORT {
        true => FIRST + client * u64::from(SHORT) + place,
        false => LONG | client << 27 | place,
    })
}

fn draw_client(
    workload: &Workload,
    group: &Group,
    id: ClientId,
    process: ProcessId,
    seed: Seed,
) -> ClientPlan {
    let mut plan = ClientPlan {
        id,
        process,
        ops: Vec::new(),
        rows_per_read: workload.rows_per_read,
        rows: workload.rows,
        several: FxHashMap::default(),
    };
    if let Some(lines) = &group.script {
        script::fill(&mut plan, lines);
        return plan;
    }
    let mut draw = Draw {
        mix: group.mix.unwrap_or(workload.mix),
        think: group.think.unwrap_or(workload.think),
        rate: workload.arrivals_per_second,
        keys: KeyTable::new(group.keys.unwrap_or(workload.keys), workload.rows),
        latest: group.keys.unwrap_or(workload.keys) == KeyChoice::Latest,
        rows: workload.rows,
        operations: seed.stream(Purpose::Operations, u64::from(id.0)),
        arrivals: seed.stream(Purpose::Arrivals, u64::from(id.0)),
        inserted: Vec::new(),
        deleted: Vec::new(),
        client: id,
        made: 0,
        arrival: 0,
    };
    let operations = group.operations.unwrap_or(workload.operations);
    plan.ops = (0..operations).map(|_| draw.next()).collect();
    plan
}

/// The state of drawing one client's operations.
struct Draw {
    mix: Mix,
    think: Spread,
    rate: Option<f64>,
    keys: KeyTable,
    latest: bool,
    rows: u32,
    operations: ChaCha8Rng,
    arrivals: ChaCha8Rng,
    client: ClientId,
    inserted: Vec<RowId>,
    deleted: Vec<RowId>,
    /// Rows made so far.
    made: u32,
    arrival: u64,
}

impl Draw {
    fn next(&mut self) -> PlannedOp {
        let kind = kind_of(&self.mix, self.operations.next_u64());
        let rank = self.keys.sample(self.operations.next_u64());
        let row = match kind {
            OpKind::Insert => self.new_row(),
            _ => self.existing_row(rank),
        };
        if kind == OpKind::Delete {
            self.deleted.push(row);
        }
        PlannedOp::new(self.wait(), kind, row)
    }

    /// A row that this client deleted comes back before a new one is made.
    fn new_row(&mut self) -> RowId {
        let row = self.deleted.pop().unwrap_or_else(|| {
            self.made += 1;
            inserted(self.client, self.made - 1)
        });
        self.inserted.push(row);
        row
    }

    fn existing_row(&self, rank: u32) -> RowId {
        if !self.latest {
            return RowId(rank.into());
        }
        let own = self.inserted.len() as u32;
        match rank < own {
            true => self.inserted[(own - 1 - rank) as usize],
            false => RowId((self.rows - 1 - (rank - own).min(self.rows - 1)).into()),
        }
    }

    fn wait(&mut self) -> u64 {
        let draw = self.arrivals.next_u64();
        let Some(rate) = self.rate else { return self.think.sample(draw) };
        // Poisson arrivals: exponential gaps. libm's logarithm is the same everywhere.
        let uniform = ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let gap = -libm::log(uniform) / rate * 1e9;
        self.arrival = self.arrival.saturating_add(gap as u64);
        self.arrival
    }
}

fn kind_of(mix: &Mix, draw: u64) -> OpKind {
    let shares = [
        (mix.read, OpKind::Read),
        (mix.update, OpKind::Update),
        (mix.modify, OpKind::Modify),
        (mix.insert, OpKind::Insert),
        (mix.delete, OpKind::Delete),
    ];
    let total: u64 = shares.iter().map(|(share, _)| u64::from(*share)).sum();
    let mut place = below(draw, total);
    for (share, kind) in shares {
        if place < u64::from(share) {
            return kind;
        }
        place -= u64::from(share);
    }
    OpKind::Read
}

impl fmt::Display for Plan {
    /// One line per row and per operation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, row) in &self.rows {
            writeln!(f, "row {} {:?}", row.id.0, row.columns)?;
        }
        for client in &self.clients {
            for (number, op) in client.ops.iter().enumerate() {
                let id = OpId::new(client.id, number as u32 + 1);
                let wait = crate::time::human(op.wait);
                let when = if self.open_loop { "at" } else { "after" };
                write!(f, "{id} {} {}", op.kind.name(), op.row().0)?;
                if let Some(ids) = client.several.get(&number) {
                    ids[1..].iter().try_for_each(|id| write!(f, ",{}", id.0))?;
                }
                writeln!(f, " {when} {wait}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_inserts_make_the_same_row() {
        let clients = [0, 1, 2, 7, 99_999].map(ClientId);
        let numbers = [0, 1, 4_095, 4_096, 4_097, 8_192, (1 << 27) - 1];
        let mut rows = std::collections::BTreeSet::new();
        for client in clients {
            for number in numbers {
                let row = inserted(client, number);
                assert!(rows.insert(row), "{client:?} {number}");
                assert_eq!(PlannedOp::new(0, OpKind::Insert, row).row(), row);
            }
        }
    }
}
