//! What happens to servers and rows while a load runs, each at its time, with a witness.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::memcached::own::{OwnServer, stat};
use crate::backend::process::Signal;
use crate::backend::{Cache, Database, Origin, Submitted};
use crate::entity::Entity;
use crate::fault::{Fault, What, draws};
use crate::history::file::writer::{Did, Operation};
use crate::operation::{ClientId, OpId, Outcome};
use crate::plan::Plan;
use crate::schedule::Ring;
use crate::seed::{Purpose, Seed, below};
use crate::step::{
    CacheCommand, CacheReply, ConnectionId, DbCommand, DbReply, Footprint, Key, NodeId, RowId,
    Table, Written,
};
use crate::time::Time;

use super::fault::{RealFault, RealWhat};
use super::harms::Harms;
use super::log::Log;
use super::scribe::{Noted, Pen};
use super::versions::Versions;

/// The ring of the clients, from which one node may be missing for a time.
#[derive(Debug)]
pub(super) struct Rings {
    full: Option<Ring>,
    /// The ring without each node, whose places count on without it.
    without: Vec<Ring>,
    /// The missing node, counted from 1.
    missing: AtomicUsize,
}

impl Rings {
    pub fn new(names: &[String]) -> Rings {
        let without = |missing: usize| {
            let rest = names.iter().enumerate().filter(|(place, _)| *place != missing);
            Ring::new(&rest.map(|(_, name)| name.clone()).collect::<Vec<String>>())
        };
        match names.len() {
            0 | 1 => Rings { full: None, without: Vec::new(), missing: AtomicUsize::new(0) },
            nodes => Rings {
                full: Some(Ring::new(names)),
                without: (0..nodes).map(without).collect(),
                missing: AtomicUsize::new(0),
            },
        }
    }

    /// The node of a key, as clients see it now.
    pub fn node(&self, key: &Key) -> NodeId {
        match (self.missing.load(Ordering::Relaxed), &self.full) {
            (_, None) => NodeId(0),
            (0, Some(full)) => full.node(key),
            (missing, _) => {
                let node = self.without[missing - 1].node(key);
                NodeId(node.0 + u16::from(usize::from(node.0) >= missing - 1))
            }
        }
    }
}

/// A fault that was carried out, and how one knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub struck: u64,
    pub witness: String,
}

/// All that happens by the clock.
pub(super) struct Chaos {
    pub real: Vec<RealFault>,
    /// Of the scenario: those with a time of their own.
    pub scenario: Vec<Timed>,
    pub own: Vec<OwnServer>,
    pub addresses: Vec<String>,
    pub cache: Box<dyn Cache + Send>,
    pub database: Box<dyn Database + Send>,
    pub rings: Arc<Rings>,
    pub plan: Arc<Plan>,
    pub entity: Arc<dyn Entity>,
    pub versions: Arc<Versions>,
    pub harms: Arc<Harms>,
    pub start: Instant,
    pub over: Arc<AtomicBool>,
    /// Nodes whose process stands still: they answer nobody.
    pub stopped: BTreeSet<usize>,
    /// The database's log of commits, where the pattern reads it.
    pub log: Option<Arc<Log>>,
    /// Writes behind the application's back so far.
    pub bypassed: u32,
    /// Writes the history down, where it is kept.
    pub pen: Option<Pen>,
}

/// A fault of the scenario that happens by the clock.
#[derive(Debug)]
pub(super) struct Timed {
    /// Its place in the scenario.
    pub rule: usize,
    pub fault: Fault,
    /// What it draws from.
    seed: Seed,
    /// How often its time has come.
    came: u64,
}

impl Timed {
    /// For those of a scenario.
    pub fn all(faults: &[(usize, Fault)], seed: Seed) -> Vec<Timed> {
        let list: Vec<Fault> = faults.iter().map(|(_, fault)| fault.clone()).collect();
        let seeds = draws::seeds(&list, seed).into_iter();
        let timed = faults.iter().zip(seeds);
        timed
            .map(|((rule, fault), seed)| Timed { rule: *rule, fault: fault.clone(), seed, came: 0 })
            .collect()
    }

    /// Two draws for this time: whether it strikes, and whom.
    fn draw(&mut self) -> (u64, u64) {
        let drawn = |purpose| self.seed.draw(purpose, 0, self.came);
        let draws = (drawn(Purpose::World), drawn(Purpose::FaultDetail));
        self.came += 1;
        draws
    }
}

/// What chaos leaves: how its faults fared, and the servers.
pub(super) struct Aftermath {
    pub real: Vec<Done>,
    pub scenario: Vec<(usize, Done)>,
    pub own: Vec<OwnServer>,
    pub problems: Vec<String>,
}

/// Something due.
#[derive(Clone, Copy)]
enum Due {
    Real(usize),
    EndOf(usize),
    Scenario(usize),
}

impl Chaos {
    /// Carries out everything at its time until the load is over, and undoes what lasts.
    pub fn run(mut self) -> Aftermath {
        let mut due: Vec<(Duration, Due)> = Vec::new();
        for (place, fault) in self.real.iter().enumerate().filter(|(_, f)| !f.what.is_on_wire()) {
            due.push((fault.at, Due::Real(place)));
        }
        for (place, Timed { fault, .. }) in self.scenario.iter().enumerate() {
            due.push((fault.at.or(fault.every).unwrap_or_default(), Due::Scenario(place)));
        }
        let mut real = vec![Done::default(); self.real.len()];
        let mut scenario = vec![Done::default(); self.scenario.len()];
        let mut problems = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let now = self.start.elapsed();
            let next = due.iter().enumerate().min_by_key(|(_, (at, _))| *at);
            let Some((place, &(at, what))) = next.filter(|(_, (at, _))| *at <= now) else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            due.swap_remove(place);
            if self.waits_for_a_stopped_node(what) {
                due.push((now + Duration::from_millis(1), what));
                continue;
            }
            let (every, lasts) = self.goes_on(what);
            due.extend(every.map(|every| (at + every, what)));
            due.extend(lasts.map(|(lasts, end)| (at + lasts, end)));
            let done = match what {
                Due::Real(place) => &mut real[place],
                Due::Scenario(place) => &mut scenario[place],
                // It is not counted.
                Due::EndOf(_) => &mut Done::default(),
            };
            match self.happen(what, done.struck) {
                Ok(None) => {}
                Ok(Some((name, witness))) => {
                    note(done, witness);
                    self.write_down(name, now);
                }
                Err(problem) => problems.push(problem),
            }
        }
        for fault in self.real.clone() {
            // What was not in force needs no undoing.
            let _ = self.undo(&fault);
        }
        for (done, harmed) in real.iter_mut().zip(self.harms.over()) {
            if harmed.struck > 0 {
                *done = harmed;
            }
        }
        let rules = self.scenario.iter().map(|timed| timed.rule);
        Aftermath { real, scenario: rules.zip(scenario).collect(), own: self.own, problems }
    }

    /// After how long something happens again, and after how long it ends.
    fn goes_on(&self, due: Due) -> (Option<Duration>, Option<(Duration, Due)>) {
        match due {
            Due::EndOf(_) => (None, None),
            Due::Scenario(place) => (self.scenario[place].fault.every, None),
            Due::Real(place) => {
                let RealFault { what, every, lasts, .. } = self.real[place];
                let ends = what.harm().is_none() && !what.is_to_log();
                (every, ends.then_some((lasts, Due::EndOf(place))))
            }
        }
    }

    /// Carries it out; its name and witness, `None` when it did not strike, or not yet.
    fn happen(&mut self, due: Due, struck: u64) -> Result<Option<(String, String)>, String> {
        match due {
            Due::EndOf(place) => {
                let fault = self.real[place].clone();
                self.undo(&fault).map(|()| None)
            }
            Due::Scenario(place) => {
                let timed = &mut self.scenario[place];
                let (fault, draws) = (timed.fault.clone(), timed.draw());
                let witness = self.scenario_fault(&fault, struck, draws)?;
                Ok(witness.map(|witness| (fault.what.to_string(), witness)))
            }
            Due::Real(place) => {
                let fault = self.real[place].clone();
                let witness = match (fault.what.harm(), &self.log) {
                    (Some(harm), _) => {
                        self.harms.put(place, harm);
                        None
                    }
                    (None, Some(log)) if fault.what.is_to_log() => {
                        log.strike(fault.what).map_err(|error| error.to_string())?
                    }
                    _ => Some(self.strike(&fault)?),
                };
                Ok(witness.map(|witness| (fault.what.name().to_owned(), witness)))
            }
        }
    }

    fn write_down(&mut self, name: String, at: Duration) {
        if let Some(pen) = &mut self.pen {
            pen.note(Noted::Fault { name, at: Time(at.as_nanos() as u64) });
        }
    }

    /// Whether it needs the answer of a node, or its peaceful end, and has to wait until that
    /// node goes on.
    fn waits_for_a_stopped_node(&self, due: Due) -> bool {
        match due {
            Due::EndOf(_) => false,
            Due::Real(place) => {
                let RealFault { what, node, .. } = self.real[place];
                matches!(what, RealWhat::RestartWarm | RealWhat::FlushNode | RealWhat::ShrinkMemory)
                    && self.stopped.contains(&usize::from(node))
            }
            Due::Scenario(place) => {
                !self.scenario[place].fault.what.bypasses() && !self.stopped.is_empty()
            }
        }
    }

    fn strike(&mut self, fault: &RealFault) -> Result<String, String> {
        if fault.what == RealWhat::RestartDatabase {
            return self.database.restart().map_err(|error| error.to_string());
        }
        let node = usize::from(fault.node);
        let address = self.addresses[node].clone();
        let told = |error: std::io::Error| format!("{}: {error}", fault.what.name());
        match fault.what {
            RealWhat::StopNode => {
                let own = &self.own[node];
                own.signal(Signal::Stop).map_err(|error| error.to_string())?;
                self.stopped.insert(node);
                Ok(format!("process {} stopped", own.process_id()))
            }
            RealWhat::KillNode | RealWhat::RestartWarm => {
                let own = &mut self.own[node];
                let before = own.process_id();
                let result = match fault.what {
                    RealWhat::KillNode => own.restart_cold(),
                    _ => own.restart_warm(),
                };
                result.map_err(|error| error.to_string())?;
                self.stopped.remove(&node);
                let items = stat(&address, "curr_items").map_err(told)?.unwrap_or(-1);
                Ok(format!("process {before} became {}, {items} items", own.process_id()))
            }
            RealWhat::FlushNode => {
                self.command(node, "flush_all")?;
                let flushes = stat(&address, "cmd_flush").map_err(told)?.unwrap_or(0);
                Ok(format!("the server counts {flushes} flushes"))
            }
            RealWhat::ShrinkMemory => {
                self.command(node, &format!("cache_memlimit {}", fault.megabytes))?;
                let limit = stat(&address, "limit_maxbytes").map_err(told)?.unwrap_or(0);
                Ok(format!("the server's limit is {limit} bytes"))
            }
            RealWhat::LeaveRing => {
                self.rings.missing.store(node + 1, Ordering::Relaxed);
                Ok(format!("node {node} left the ring"))
            }
            what => unreachable!("{} is the proxy's", what.name()),
        }
    }

    fn command(&self, node: usize, line: &str) -> Result<(), String> {
        let reply = crate::backend::memcached::text_command(&self.addresses[node], line)
            .map_err(|error| error.to_string())?;
        match reply.trim() {
            "OK" => Ok(()),
            said => Err(format!("`{line}` was answered with `{said}`")),
        }
    }

    /// Ends what lasts.
    fn undo(&mut self, fault: &RealFault) -> Result<(), String> {
        match fault.what {
            RealWhat::StopNode => {
                let node = usize::from(fault.node);
                self.stopped.remove(&node);
                self.own[node].signal(Signal::Continue).map_err(|error| error.to_string())
            }
            RealWhat::LeaveRing => {
                self.rings.missing.store(0, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A fault of the scenario whose time has come; `None` when its chance was against it.
    fn scenario_fault(
        &mut self,
        fault: &Fault,
        struck: u64,
        (draw, whom): (u64, u64),
    ) -> Result<Option<String>, String> {
        let now = Time(self.start.elapsed().as_nanos() as u64);
        let spent = fault.budget.is_some_and(|budget| struck >= budget);
        if spent || !fault.in_window(now) || !fault.chance().strikes(draw) {
            return Ok(None);
        }
        let rows = self.plan.rows().len() as u64;
        let row = fault.row().unwrap_or(RowId(below(whom, rows)));
        let nodes: Vec<u16> = match &fault.nodes {
            Some(nodes) => nodes.clone(),
            None => (0..self.addresses.len() as u16).collect(),
        };
        match fault.what {
            What::FlushNode | What::RestartNode => {
                let what = match fault.what {
                    What::RestartNode if !self.own.is_empty() => RealWhat::KillNode,
                    _ => RealWhat::FlushNode,
                };
                let mut witness = String::new();
                for node in nodes {
                    let fault = RealFault { node, ..RealFault::at(what, Duration::ZERO) };
                    witness = self.strike(&fault)?;
                }
                Ok(Some(witness))
            }
            What::Evict => {
                let key = fault.evicted_key(|| self.entity.key(Table(0), row));
                let node = self.rings.node(&key);
                let delete = CacheCommand::Delete { key };
                let (connection, origin) = (ConnectionId(0), Origin::default());
                let off = &mut Footprint::off();
                let reply = self.cache.execute(now, node, connection, origin, &delete, off);
                let held = reply.map_err(|error| error.to_string())? == CacheReply::Deleted;
                Ok(held.then(|| "an administrative delete".to_owned()))
            }
            what if what.bypasses() => self.bypass(what, row),
            what => unreachable!("{what} is the proxy's"),
        }
    }

    /// Raw SQL on a connection of its own.
    fn bypass(&mut self, what: What, id: RowId) -> Result<Option<String>, String> {
        self.bypassed += 1;
        let writer = OpId::new(ClientId::BYPASS, self.bypassed);
        let table = Table(0);
        let columns = self.plan.contents_of(id, writer, &*self.entity);
        let command = match what {
            What::BypassDelete => DbCommand::Delete { table, id, writer },
            What::BypassInsert => DbCommand::Insert { table, id, writer, columns },
            _ => DbCommand::Update { table, id, writer, columns, if_version: None },
        };
        let sent = self.start.elapsed().as_nanos() as u64;
        let written = self.execute(&command);
        let answered = self.start.elapsed().as_nanos() as u64;
        let (outcome, version) = match &written {
            Ok(Some(written)) if written.affected > 0 => {
                let version = written.version.unwrap_or(0);
                self.versions.commit(id.0, version, sent, answered);
                (Outcome::Ok, version)
            }
            Ok(Some(_)) => (Outcome::Failed, 0),
            Ok(None) | Err(_) => (Outcome::Unknown, 0),
        };
        if let Some(pen) = &mut self.pen {
            let did = if what == What::BypassDelete { Did::Delete } else { Did::Write };
            let done = Operation::of(writer, did, (Time(sent), Time(answered)), outcome);
            pen.note(Noted::Op(id, Operation { version, ..done }));
        }
        written?;
        let witness = || format!("row {} got version {version} by SQL", id.0);
        Ok((outcome == Outcome::Ok).then(witness))
    }

    /// `None` when nobody knows what became of it.
    fn execute(&mut self, command: &DbCommand) -> Result<Option<Written>, String> {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut reply = self.database.submit(ConnectionId(0), command, &mut Footprint::off());
        while let Ok(Submitted::Blocked) = reply {
            std::thread::sleep(Duration::from_micros(100));
            let woken = self.database.woken(&mut Footprint::off());
            let woken = woken.map_err(|error| error.to_string())?.pop();
            if let Some((_, done)) = woken {
                reply = Ok(Submitted::Done(done));
            } else if Instant::now() > deadline {
                return Ok(None);
            }
        }
        match reply.map_err(|error| error.to_string())? {
            Submitted::Done(DbReply::Written(written)) => Ok(Some(written)),
            // An error of the statement: it changed nothing.
            _ => Ok(Some(Written { affected: 0, version: None })),
        }
    }
}

fn note(done: &mut Done, witness: String) {
    done.struck += 1;
    done.witness = witness;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_draws_the_same_beside_others_and_each_time_anew() {
        let evict = (0, Fault { row: None, ..Fault::new(What::Evict) });
        let flush = (1, Fault::new(What::FlushNode));
        let draws = |faults: &[(usize, Fault)], of: usize| {
            let mut timed = Timed::all(faults, Seed(1));
            let rule = timed.iter_mut().find(|timed| timed.rule == of).unwrap();
            [rule.draw(), rule.draw(), rule.draw()]
        };
        let alone = draws(std::slice::from_ref(&evict), 0);
        assert_eq!(draws(&[flush.clone(), evict.clone()], 0), alone);
        assert_eq!(draws(&[evict.clone(), flush], 0), alone);
        assert!(alone[0] != alone[1] && alone[1] != alone[2]);
        assert_ne!(draws(&[evict.clone(), (2, evict.1)], 2), alone, "its equal");
    }
}
