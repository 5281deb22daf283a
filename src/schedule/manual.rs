//! Verbs of the world for schedulers that choose everything themselves, faults included: a
//! rule does not judge steps as they are sent, the scheduler strikes with it when it wants.

use std::time::Duration;

use super::error::RunError;
use super::network::Fate;
use super::world::{Enabled, World};
use crate::fault::{Fault, What};
use crate::history::record::{FaultRecord, KeyId, StepKind};
use crate::operation::{ClientId, OpId, OpKind};
use crate::step::{Answer, Command, ConnectionId, DbCommand, Key, Location, NodeId, RowId};
use crate::time::Time;

/// What a scheduler has to know of a step under way to offer choices about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub client: usize,
    pub op: OpId,
    pub number: u32,
    pub connection: ConnectionId,
    pub kind: StepKind,
    pub key: Option<KeyId>,
    /// Whether its client still waits for it.
    pub current: bool,
}

impl World<'_> {
    /// Chooses everything from now on: rules strike only when told, and every client has its
    /// connections, so that their numbers do not depend on the order. Footprints are kept where
    /// states are compared, and for background work, which is woken by what it looks at.
    pub fn choose_manually(&mut self, compares_states: bool) {
        self.fixed.manual = true;
        self.fixed.keeps_trails = compares_states;
        self.injector.disarm();
        if compares_states || self.background() > 0 {
            self.footprint = crate::step::Footprint::on();
        }
        for client in 0..self.state.clients.len() {
            self.database_connection(client);
            for node in 0..self.fixed.nodes {
                self.cache_connection(client, NodeId(node as u16));
            }
        }
    }

    pub(super) fn pending(&self, flight: usize) -> Pending {
        let state = self.flight(flight);
        Pending {
            client: state.client,
            op: state.op,
            number: state.number,
            connection: state.connection,
            kind: state.kind,
            key: state.key,
            current: self.state.clients[state.client].epoch == state.epoch && !state.settled,
        }
    }

    /// Whether the statement waits for a lock.
    pub fn is_blocked(&self, flight: usize) -> bool {
        let connection = self.flight(flight).connection;
        let state = self.state.network.connections.get(connection.0 as usize);
        state.is_some_and(|state| state.blocked == Some(flight))
    }

    /// Whether the database would notice that a connection is gone.
    pub fn matters(&self, connection: ConnectionId) -> bool {
        let state = self.state.network.connection(connection);
        state.in_transaction || state.blocked.is_some()
    }

    pub fn op_of(&self, client: usize) -> OpId {
        self.state.clients[client].current.id
    }

    /// Whether a client is in the middle of a read-modify-write.
    pub fn modifies(&self, client: usize) -> bool {
        self.state.clients[client].current.kind == Some(OpKind::Modify) && self.is_busy(client)
    }

    pub fn rows_of(&self, client: usize) -> &[RowId] {
        &self.state.clients[client].current.rows
    }

    pub fn place_of_client(&self, id: ClientId) -> usize {
        let found = self.state.clients.iter().position(|client| client.id == id);
        found.expect("only clients that exist are named")
    }

    /// The key of the first row of a client's operation.
    pub fn first_key_of(&mut self, client: usize) -> Option<KeyId> {
        let row = *self.state.clients[client].current.rows.first()?;
        Some(self.row_key(row))
    }

    pub fn client_id(&self, client: usize) -> ClientId {
        self.state.clients[client].id
    }

    /// Whether a rule about crashes speaks of a process: of one of its clients.
    pub fn crash_admits(&self, rule: u16, process: usize) -> bool {
        let Some(list) = &self.injector.fault(rule).clients else { return true };
        let members = self.state.clients.iter().filter(|client| client.process == process);
        members.map(|client| client.id.0).any(|id| list.contains(&id))
    }

    pub fn is_ordinary(&self, client: usize) -> bool {
        self.state.clients[client].id.is_ordinary()
    }

    /// Operations that a client has begun.
    pub fn begun(&self, client: usize) -> usize {
        self.state.clients[client].begun
    }

    pub fn is_busy(&self, client: usize) -> bool {
        !self.actors[client].is_idle()
    }

    pub fn process_of(&self, client: usize) -> usize {
        self.state.clients[client].process
    }

    /// Whether a client is to others what any client is that asks the same: its pattern has
    /// not asked who it is, and nothing that it has begun at the database is in its name.
    pub fn is_anonymous(&self, place: usize) -> bool {
        let client = &self.state.clients[place];
        let alone = !self.shares_process() && self.remembers(client.process);
        let begun = client.database_connection.is_some_and(|connection| self.matters(connection));
        !self.actors[place].port.asked_name() && !alone && !begun
    }

    /// Whether the pattern has asked for what could make it treat one client unlike another.
    pub fn asked_for_names(&self) -> bool {
        self.fixed.app.named.get()
    }

    /// Whether all clients live in one process.
    pub fn shares_process(&self) -> bool {
        self.state.processes.len() == 1
    }

    pub fn nodes(&self) -> usize {
        self.fixed.nodes
    }

    /// The row that a step selects.
    pub fn selected(&self, flight: usize) -> Option<Location> {
        match &self.flight(flight).command {
            Command::Database(select @ DbCommand::Select { .. })
            | Command::Apart(select @ DbCommand::Select { .. }) => {
                select.row().map(|(table, row)| Location::Row(table, row))
            }
            _ => None,
        }
    }

    /// Whether keys lie on more than one cache node.
    pub fn has_several_nodes(&self) -> bool {
        self.fixed.nodes > 1
    }

    pub fn client_count(&self) -> usize {
        self.state.clients.len()
    }

    /// Whether a process has memory to lose.
    pub fn remembers(&self, process: usize) -> bool {
        self.state.processes[process].memory != super::memory::Memory::default()
    }

    /// The pause before a client's next operation, in nanoseconds; `None` when it has none.
    pub fn pause_before(&self, client: usize) -> Option<u64> {
        Some(self.planned(client, self.state.clients[client].begun)?.wait)
    }

    /// The operation counts as invoked only now, right before its first step.
    pub fn stamp_start(&mut self, client: usize) {
        self.state.clients[client].current.start = self.state.now;
    }

    /// Whether a rule about steps speaks of this one.
    pub fn rule_matches(&self, rule: u16, flight: usize) -> bool {
        let state = self.flight(flight);
        let client = &self.state.clients[state.client];
        self.injector.matches(
            rule,
            &super::injector::Target {
                now: self.state.now,
                kind: StepKind::of(&state.command),
                commits: state.commits,
                client: client.id,
                node: StepKind::of(&state.command).is_cache().then_some(state.node),
                op: state.op,
                op_kind: client.current.kind,
                number: state.number,
                executed: client.current.executed,
            },
        )
    }

    /// Whether a lasting rule keeps this step's client from its node.
    pub fn keeps_out(&self, rule: u16, flight: usize) -> bool {
        let state = self.flight(flight);
        let fault = self.injector.fault(rule);
        let client = self.state.clients[state.client].id;
        StepKind::of(&state.command).is_cache()
            && fault.clients.as_ref().is_none_or(|list| list.contains(&client.0))
            && fault.nodes.as_ref().is_none_or(|list| list.contains(&state.node.0))
    }

    pub fn fault(&self, rule: u16) -> &Fault {
        self.injector.fault(rule)
    }

    fn note_rule(&mut self, rule: u16, flight: usize) {
        let state = self.flight(flight);
        let (step, op) = (state.step, state.op);
        let kind = StepKind::of(&state.command);
        let target = format!("{} of {op}", kind.name());
        self.state.recorder.struck(step, rule);
        self.state.recorder.fault(FaultRecord {
            rule,
            at: self.state.now,
            until: None,
            target,
            step: Some(step),
        });
    }

    /// A rule holds up a step under way, which will take effect all the same.
    pub fn hold_up(&mut self, flight: usize, rule: u16) {
        self.note_rule(rule, flight);
    }

    fn answer_unexecuted(&mut self, flight: usize, answer: Answer) -> Result<(), RunError> {
        self.leave_connection(flight);
        let state = self.flight_mut(flight);
        state.fate = Fate::Never;
        state.answer = Some(answer);
        self.deliver(flight)
    }

    /// A rule strikes a step under way that has not taken effect, and the step is executed
    /// where the rule lets it, `late` after its caller gave up where it comes late.
    pub fn strike_step(
        &mut self,
        flight: usize,
        rule: u16,
        late: Duration,
    ) -> Result<(), RunError> {
        self.note_rule(rule, flight);
        let what = self.injector.fault(rule).what;
        let kind = StepKind::of(&self.flight(flight).command);
        match what {
            What::Refuse | What::Unreachable | What::Fail => {
                let answer = match what {
                    What::Fail => super::send::failure(kind),
                    _ => Answer::Error(crate::step::StepError::Refused),
                };
                self.answer_unexecuted(flight, answer)
            }
            What::AnswerWithoutDoing => {
                if let Some((table, id)) = self.row_of(flight) {
                    self.footprint.read(|| Location::Row(table, id));
                }
                match self.answer_without_doing(flight) {
                    Some(answer) => self.answer_unexecuted(flight, answer),
                    None => self.execute(flight),
                }
            }
            What::LoseRequest => {
                self.leave_connection(flight);
                self.flight_mut(flight).fate = Fate::Never;
                self.expire(flight)
            }
            What::LoseReply => {
                self.flight_mut(flight).fate = Fate::LoseReply;
                self.execute(flight)
            }
            What::DeliverLate | What::Delay => {
                self.flight_mut(flight).fate = Fate::Late(late);
                self.expire(flight)
            }
            what => unreachable!("{what} does not strike single steps"),
        }
    }

    /// The step is executed, and then the rule ends its operation, or its process.
    pub fn strike_after_step(&mut self, flight: usize, rule: u16) -> Result<(), RunError> {
        self.note_rule(rule, flight);
        self.flight_mut(flight).fate = Fate::Then(rule);
        self.execute(flight)
    }

    /// The operation is dropped, or its process dies. What it had sent is still on its way;
    /// see [`World::drop_step`].
    pub fn strike_client(&mut self, client: usize, rule: u16) -> Result<(), RunError> {
        let target = self.state.clients[client].current.id.to_string();
        let (at, until, step) = (self.state.now, None, None);
        self.state.recorder.fault(FaultRecord { rule, at, until, target, step });
        match self.injector.fault(rule).what {
            What::Crash => self.crash(client),
            _ => self.cancel(client),
        }
    }

    /// The step will never land: it had not left its process when that died.
    pub fn drop_step(&mut self, flight: usize) {
        self.leave_connection(flight);
        self.flight_mut(flight).pending -= 1;
        self.release(flight);
    }

    /// A lasting fault begins or ends.
    pub fn note_lasting(&mut self, rule: u16) {
        let (at, until, step) = (self.state.now, None, None);
        let target = "the world".to_owned();
        self.state.recorder.fault(FaultRecord { rule, at, until, target, step });
    }

    /// When an item will be gone by itself.
    pub fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        self.cache.expiry(node, key)
    }

    /// An item has expired.
    pub fn expire_item(&mut self, node: NodeId, key: &Key) -> Result<(), RunError> {
        self.cache.evict(self.state.now, node, key)?;
        let key = self.state.recorder.key(key);
        self.state.recorder.expired(node, key, self.state.now);
        Ok(())
    }

    /// What a replica has is told from now on, not a matter of the time.
    pub fn replicas_follow_choices(&mut self) {
        if let Some(replica) = &mut self.state.followers.replica {
            replica.hide(0);
        }
    }

    /// The next read of a step on the lagging replica lacks the last commits of its row.
    pub fn hide_commits(&mut self, commits: usize) {
        if let Some(replica) = &mut self.state.followers.replica {
            replica.hide(commits);
        }
    }

    /// No read will ask for more than this many of a row's last commits.
    pub fn forget_commits(&mut self, row: RowId, keep: usize) {
        if let Some(replica) = &mut self.state.followers.replica {
            replica.keep(row, keep);
        }
    }

    /// A client's operation has not taken a step, and counts as not begun.
    pub fn put_back(&mut self, client: usize) {
        let actor = &mut self.actors[client];
        actor.task = super::actor::Task::Idle;
        actor.port.clear();
        self.note_move(client);
        let state = &mut self.state.clients[client];
        state.begun -= 1;
        state.epoch += 1;
        state.waiting = 0;
        state.current = super::client::Current::default();
        self.enabled.push(Enabled::Begin { client, after: std::time::Duration::ZERO });
    }

    /// Counts how often a client's operations ended abruptly.
    pub fn epoch(&self, client: usize) -> u32 {
        self.state.clients[client].epoch
    }

    /// Whether an operation waits for more than one thing.
    pub fn waits_for_several(&self, client: usize) -> bool {
        self.state.clients[client].waiting > 1
    }

    /// Whether the pattern has asked for the time in an operation under way.
    pub fn has_asked_time(&self) -> bool {
        self.actors.iter().any(|actor| actor.port.asked_time())
    }

    /// A client begins its next operation; called for what [`Enabled::Begin`] offers.
    pub fn begin_now(&mut self, client: usize) -> Result<(), RunError> {
        self.begin_trail(client);
        self.begin(client)
    }

    /// Background work begins a round.
    pub fn tick_now(&mut self, client: usize) -> Result<(), RunError> {
        self.begin_trail(client);
        self.tick(client)
    }

    fn begin_trail(&mut self, client: usize) {
        if self.fixed.keeps_trails {
            let abandoned = self.actors[client].port.abandoned();
            self.state.clients[client].trail.begin(abandoned);
        }
    }

    /// What has happened so far.
    pub fn history(&self) -> &crate::history::record::History {
        &self.state.recorder.history
    }

    /// The history, to which a scheduler adds when its phases ended.
    pub fn history_mut(&mut self) -> &mut crate::history::record::History {
        &mut self.state.recorder.history
    }

    /// The servers, for an audit in the middle of a run.
    pub fn servers(
        &mut self,
    ) -> (
        &crate::history::record::History,
        &mut dyn crate::backend::Cache,
        &mut dyn crate::backend::Database,
    ) {
        (&self.state.recorder.history, &mut *self.cache, &mut *self.database)
    }

    /// Takes what has become possible since the last call.
    pub fn drain_enabled(&mut self) -> Vec<Enabled> {
        std::mem::take(&mut self.enabled)
    }
}
