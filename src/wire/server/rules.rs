//! Which fault strikes which request.
//!
//! A server knows steps, connections and time, not operations, transactions or the clients
//! of an application. Rules that need those are refused rather than ignored.
//!
//! How a struck request looks to its peer:
//! - `refuse`: the connection is closed, nothing was executed;
//! - `lose-request`, `lose-reply`: silence, from here on, on this connection; a lost reply's
//!   request, and what follows it, is executed;
//! - `deliver-late`: silence; executed `delay` after the peer has closed the connection;
//! - `fail`: `SERVER_ERROR fault injected`, or status 0x85 in binary;
//! - `unreachable`: connections are closed, new ones at once.
//!
//! `restart-node`, `flush-node`, `evict` and `jump-clock` happen at their time, or before or
//! after a step (`evict` takes the step's key). Times and windows count from when the rule
//! was armed. `version`, `stats` and other round trips without a meaning for the cache are
//! neither struck nor counted.

use std::time::Duration;

use serde::Serialize;

use crate::fault::{Fault, FaultProblem, Moment, Server, StepView, What, draws};
use crate::seed::{Purpose, Seed};
use crate::step::{Key, NodeId};
use crate::time::Time;
use crate::wire::Request;

/// The faults that are armed.
pub(super) struct Rules {
    rules: Vec<Rule>,
    last_id: u64,
    seed: Seed,
}

/// An armed fault and how it fared.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Rule {
    pub(super) id: u64,
    pub(super) fault: Fault,
    /// Steps that it matched.
    pub(super) matched: u64,
    /// How often it struck.
    pub(super) struck: u64,
    /// What it is, and its number among those armed that are the same.
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    number: u64,
    /// What it draws from.
    #[serde(skip)]
    seed: Seed,
    /// When it was armed: its window and times count from here.
    #[serde(skip)]
    since: Time,
}

/// What a fault does to a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Strike {
    pub(super) rule: u64,
    pub(super) what: What,
    pub(super) moment: Moment,
    pub(super) delay: Duration,
    pub(super) by_seconds: i64,
    pub(super) victim: Victim,
}

/// Whom an eviction is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Victim {
    /// The one that the fault names, or the key of the step that was struck.
    Key(Key),
    /// Any, by this draw.
    Any(u64),
}

/// Says why a server by itself cannot carry out a fault.
pub fn check_for_server(fault: &Fault, nodes: usize) -> Result<(), FaultProblem> {
    fault.check()?;
    let wrong = |field, problem: &str| Err(FaultProblem { field, problem: problem.to_owned() });
    match fault.what {
        What::Cancel | What::Crash => {
            return wrong("do", "this happens to an application; a server cannot do it");
        }
        What::AnswerWithoutDoing => {
            return wrong("do", "this server does what it says; use a scenario");
        }
        What::Delay => {
            return wrong("do", "this server executes at once, or with `deliver-late` too late");
        }
        what if what.bypasses() => return wrong("do", "a cache server has no database"),
        _ => {}
    }
    if fault.on.as_ref().is_some_and(|on| on.server() == Some(Server::Database)) {
        return wrong("on", "a cache server sees no steps of a database");
    }
    if fault.after.is_some() {
        return wrong("after", "a cache server does not know which steps belong together");
    }
    if fault.op.is_some() {
        return wrong("op", "a cache server does not know operations");
    }
    if fault.clients.is_some() {
        return wrong("clients", "a cache server sees connections, not clients");
    }
    if fault.row.is_some() {
        return wrong("row", "a cache server does not know rows; use the key with `evict`");
    }
    if fault.key.is_some() && fault.is_about_rows() && fault.on.is_none() {
        return wrong("key", "a cache server knows no row at that time; write the whole key");
    }
    if let Some(node) = fault.nodes.iter().flatten().find(|node| usize::from(**node) >= nodes) {
        let problem =
            format!("there is no node {node}; nodes are numbered from 0 to {}", nodes - 1);
        return Err(FaultProblem { field: "nodes", problem });
    }
    Ok(())
}

impl Rules {
    pub(super) fn new(seed: Seed) -> Rules {
        Rules { rules: Vec::new(), last_id: 0, seed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn list(&self) -> &[Rule] {
        &self.rules
    }

    /// Arms a fault that has been checked; gives its id.
    pub(super) fn add(&mut self, fault: Fault, since: Time) -> u64 {
        self.last_id += 1;
        let (id, name) = (self.last_id, draws::name(&fault));
        let taken = |number| self.rules.iter().any(|r| r.number == number && r.name == name);
        let number = (0..).find(|number| !taken(*number)).expect("fewer than 2^64 are armed");
        let seed = draws::seed_of(&name, number, self.seed);
        self.rules.push(Rule { id, fault, matched: 0, struck: 0, name, number, seed, since });
        self.last_id
    }

    /// Disarms one fault; says whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Counts a strike of a fault of the world at its time; `None` when it is no longer
    /// armed, or not now.
    pub(super) fn timed(&mut self, id: u64, now: Time) -> Option<(Fault, Victim)> {
        let rule = self.rules.iter_mut().find(|rule| rule.id == id)?;
        rule.matched += 1;
        let strikes = rule.fault.in_window(rule.age(now)) && rule.draw();
        rule.struck += u64::from(strikes);
        strikes.then(|| (rule.fault.clone(), rule.any()))
    }

    /// Whether the rule is still armed.
    pub(super) fn has(&self, id: u64) -> bool {
        self.rules.iter().any(|rule| rule.id == id)
    }

    /// Whether a node cannot be reached now.
    pub(super) fn unreachable(&mut self, now: Time, node: NodeId) -> Option<u64> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.fault.what == What::Unreachable && rule.admits(now, node))?;
        rule.matched += 1;
        rule.struck += 1;
        Some(rule.id)
    }

    /// The faults that strike a request. Each of its steps is counted by each rule; of
    /// faults that decide what becomes of the request the first one wins.
    pub(super) fn decide(&mut self, now: Time, node: NodeId, request: &Request) -> Vec<Strike> {
        let mut strikes: Vec<Strike> = Vec::new();
        for (name, key, writes) in request.steps() {
            let step = StepView { server: Server::Cache, name, writes, commits: false };
            for rule in &mut self.rules {
                let matches = rule.fault.on.as_ref().is_some_and(|on| on.matches(&step));
                if !matches || !rule.admits(now, node) {
                    continue;
                }
                rule.matched += 1;
                let decides = rule.fault.what.strikes_steps();
                let decided = strikes.iter().any(|strike| strike.what.strikes_steps());
                if !(decides && decided) && rule.draw() {
                    rule.struck += 1;
                    strikes.push(rule.strike(key.cloned()));
                }
            }
        }
        strikes
    }
}

impl Rule {
    fn age(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.since.0))
    }

    fn admits(&self, now: Time, node: NodeId) -> bool {
        let nodes = self.fault.nodes.as_ref();
        self.fault.in_window(self.age(now)) && nodes.is_none_or(|nodes| nodes.contains(&node.0))
    }

    /// Whether this match, which has been counted, is struck.
    fn draw(&self) -> bool {
        self.fault.nth.is_none_or(|nth| nth == self.matched)
            && self.fault.budget.is_none_or(|budget| self.struck < budget)
            && self.fault.chance().strikes(self.seed.draw(Purpose::Fault, 0, self.matched))
    }

    /// A victim that nothing else decides.
    fn any(&self) -> Victim {
        if self.fault.key.is_some() {
            return Victim::Key(self.fault.evicted_key(|| Key::from("")));
        }
        Victim::Any(self.seed.draw(Purpose::FaultDetail, 0, self.matched))
    }

    fn strike(&self, key: Option<Key>) -> Strike {
        Strike {
            rule: self.id,
            what: self.fault.what,
            moment: self.fault.moment,
            delay: self.fault.delay.unwrap_or_default(),
            by_seconds: self.fault.by_seconds.unwrap_or(0),
            victim: match key {
                Some(key) => Victim::Key(self.fault.evicted_key(|| key)),
                None => self.any(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of 200 requests a rule strikes, armed behind others.
    fn strikes(others: &[&str]) -> Vec<u64> {
        let fault = |step: &str| Fault {
            probability: Some(0.3),
            ..Fault::on(What::LoseReply, step).unwrap()
        };
        let mut rules = Rules::new(Seed(1));
        let gone = rules.add(fault("cache.set"), Time::ZERO);
        rules.remove(gone);
        for other in others {
            rules.add(fault(other), Time::ZERO);
        }
        let id = rules.add(fault("cache.set"), Time::ZERO);
        let rule = rules.rules.iter_mut().find(|rule| rule.id == id).unwrap();
        let struck = (1..=200).filter(|matched| {
            rule.matched = *matched;
            rule.draw()
        });
        struck.collect()
    }

    #[test]
    fn a_rule_draws_the_same_whatever_was_armed_before() {
        let alone = strikes(&[]);
        assert!((40..80).contains(&alone.len()), "{}", alone.len());
        assert_eq!(strikes(&["cache.get", "cache.delete"]), alone);
        assert_ne!(strikes(&["cache.set"]), alone, "its equal");
    }
}
