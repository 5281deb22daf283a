//! Decides which faults strike which steps.

use crate::fault::{Fault, Server, StepPattern, StepView, What, draws};
use crate::history::record::StepKind;
use crate::operation::{ClientId, OpId, OpKind};
use crate::seed::{Chance, Purpose, Seed};
use crate::step::NodeId;
use crate::time::Time;

/// What the rules look at in a step about to be sent.
pub(crate) struct Target {
    pub now: Time,
    pub kind: StepKind,
    /// A write that commits itself, or a commit.
    pub commits: bool,
    pub client: ClientId,
    pub node: Option<NodeId>,
    pub op: OpId,
    /// `None` in background work.
    pub op_kind: Option<OpKind>,
    /// The step's number within its operation.
    pub number: u32,
    /// The steps that the operation has executed already, as [`bit`]s.
    pub executed: u64,
}

/// A rule that struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub rule: u16,
    pub what: What,
}

/// All rules, compiled to bit masks over step kinds, with their counts.
#[derive(Debug)]
pub(crate) struct Injector {
    rules: Vec<Rule>,
    /// The kinds of steps that some rule looks at.
    concerned: u64,
    disarmed: bool,
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    /// What it draws from, whatever other rules there are.
    seed: Seed,
    on: u64,
    after: u64,
    chance: Chance,
    matches: u64,
    strikes: u64,
}

/// The bit of a step kind in a mask; the highest stands for "it committed".
pub(crate) fn bit(kind: StepKind) -> u64 {
    1 << kind as u32
}

/// The bit for a step that made changes of the database permanent.
pub(crate) const COMMITTED: u64 = 1 << 63;

fn kinds(kind: StepKind, commits: bool) -> u64 {
    bit(kind) | if commits { COMMITTED } else { 0 }
}

fn mask(pattern: &StepPattern) -> u64 {
    let mut mask = 0;
    for kind in StepKind::SENT {
        let (server, name) = kind.name().split_once('.').expect("a sent step has a server");
        let server = if server == "cache" { Server::Cache } else { Server::Database };
        let view = StepView { server, name, writes: kind.writes(), commits: false };
        if pattern.matches(&view) {
            mask |= bit(kind);
        }
    }
    let commit = StepView { server: Server::Database, name: "", writes: false, commits: true };
    if pattern.matches(&commit) {
        mask |= COMMITTED;
    }
    mask
}

/// The kinds of steps that a fault can strike at all, and with them what commits.
fn fitting(what: What) -> u64 {
    use StepKind::{CacheGat, CacheMetaGet};
    // What only reads has nothing to do.
    let does = |kind: &StepKind| kind.writes() && !matches!(kind, CacheGat | CacheMetaGet);
    let fits = |kind: &StepKind| what != What::AnswerWithoutDoing || does(kind);
    let kinds = StepKind::SENT.into_iter().filter(fits);
    kinds.fold(COMMITTED, |mask, kind| mask | bit(kind))
}

impl Injector {
    pub fn new(faults: &[Fault], seed: Seed) -> Injector {
        let seeds = draws::seeds(faults, seed);
        let rules: Vec<Rule> =
            faults.iter().zip(seeds).map(|(fault, seed)| Rule::new(fault, seed)).collect();
        let concerned = rules.iter().fold(0, |kinds, rule| kinds | rule.on | rule.keeps_from());
        Injector { rules, concerned, disarmed: false }
    }

    /// No rule strikes from now on.
    pub fn disarm(&mut self) {
        self.disarmed = true;
        self.concerned = 0;
    }

    /// Whether any rule looks at a step like this: most runs strike few kinds, and then
    /// there is nothing to judge about the others.
    #[inline]
    pub fn concerns(&self, kind: StepKind, commits: bool) -> bool {
        self.concerned & kinds(kind, commits) != 0
    }

    pub fn fault(&self, rule: u16) -> &Fault {
        &self.rules[rule as usize].fault
    }

    /// What a rule draws from.
    pub fn seed(&self, rule: u16) -> Seed {
        self.rules[rule as usize].seed
    }

    /// How often a rule has struck.
    #[cfg(test)]
    pub fn strikes(&self, rule: u16) -> u64 {
        self.rules[rule as usize].strikes
    }

    /// The first rule, in the scenario's order, that strikes this step. Every rule that
    /// matches counts the match, struck or not.
    pub fn judge(&mut self, target: &Target) -> Option<Strike> {
        if self.disarmed {
            return None;
        }
        let kinds = kinds(target.kind, target.commits);
        let mut struck = None;
        for (number, rule) in self.rules.iter_mut().enumerate() {
            if rule.on & kinds == 0 || !rule.applies(target) {
                continue;
            }
            rule.matches += 1;
            let draw = rule.seed.draw(Purpose::Fault, target.op.0, u64::from(target.number));
            if struck.is_none() && rule.strikes_now(draw) {
                rule.strikes += 1;
                struck = Some(Strike { rule: number as u16, what: rule.fault.what });
            }
        }
        struck
    }

    /// A strike changed nothing, and does not count.
    pub fn take_back(&mut self, rule: u16) {
        self.rules[rule as usize].strikes -= 1;
    }

    /// Whether some rule restarts cache nodes.
    pub fn restarts_nodes(&self) -> bool {
        self.rules.iter().any(|rule| rule.fault.what == What::RestartNode)
    }

    /// Whether a rule about steps speaks of this one, whatever its chance, count and window.
    pub fn matches(&self, rule: u16, target: &Target) -> bool {
        let rule = &self.rules[rule as usize];
        let kinds = bit(target.kind) | if target.commits { COMMITTED } else { 0 };
        let follows = rule.fault.after.is_none() || rule.after & target.executed != 0;
        let fault = Fault { from: None, until: None, ..rule.fault.clone() };
        rule.on & kinds != 0
            && follows
            && fault.admits(target.now, target.client, target.node, target.op_kind)
    }

    /// A fault of the world wants to happen: whether its conditions on window, chance and
    /// budget let it.
    pub fn judge_world(&mut self, number: u16, now: Time, occurrence: u64) -> bool {
        if self.disarmed {
            return false;
        }
        let rule = &mut self.rules[number as usize];
        let draw = rule.seed.draw(Purpose::World, 0, occurrence);
        if !rule.fault.in_window(now) {
            return false;
        }
        rule.matches += 1;
        let strikes = rule.strikes_now(draw);
        rule.strikes += u64::from(strikes);
        strikes
    }

    /// Whether a lasting fault keeps a client from a node, and which.
    pub fn unreachable(&mut self, target: &Target) -> Option<Strike> {
        if self.disarmed || !target.kind.is_cache() {
            return None;
        }
        for (number, rule) in self.rules.iter_mut().enumerate() {
            let fault = &rule.fault;
            if fault.what == What::Unreachable
                && fault.admits(target.now, target.client, target.node, target.op_kind)
            {
                rule.strikes += 1;
                return Some(Strike { rule: number as u16, what: What::Unreachable });
            }
        }
        None
    }
}

impl Rule {
    fn new(fault: &Fault, seed: Seed) -> Rule {
        let on = fault.on.as_ref().map_or(0, mask) & fitting(fault.what);
        let after = fault.after.as_ref().map_or(0, mask);
        let (fault, chance) = (fault.clone(), fault.chance());
        Rule { fault, seed, on, after, chance, matches: 0, strikes: 0 }
    }

    /// The kinds of steps that a partition keeps from their node: all of the cache's, which
    /// come before those of the database.
    fn keeps_from(&self) -> u64 {
        match self.fault.what {
            What::Unreachable => bit(StepKind::DbBegin) - 1,
            _ => 0,
        }
    }

    fn applies(&self, target: &Target) -> bool {
        let follows = self.fault.after.is_none() || self.after & target.executed != 0;
        follows && self.fault.admits(target.now, target.client, target.node, target.op_kind)
    }

    /// Called after the match was counted.
    fn strikes_now(&self, draw: u64) -> bool {
        self.fault.nth.is_none_or(|nth| nth == self.matches)
            && self.fault.budget.is_none_or(|budget| self.strikes < budget)
            && self.chance.strikes(draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: StepKind, number: u32) -> Target {
        Target {
            now: Time::ZERO,
            kind,
            commits: false,
            client: ClientId(0),
            node: Some(NodeId(0)),
            op: OpId::new(ClientId(0), 1),
            op_kind: Some(OpKind::Update),
            number,
            executed: 0,
        }
    }

    #[test]
    fn the_nth_match_is_struck_once() {
        let fault = Fault { nth: Some(2), ..Fault::on(What::Refuse, "cache.set").unwrap() };
        let mut injector = Injector::new(&[fault], Seed(1));
        let mut hits = Vec::new();
        for number in 0..4 {
            assert_eq!(injector.judge(&target(StepKind::CacheGet, number)), None);
            hits.push(injector.judge(&target(StepKind::CacheSet, number)).is_some());
        }
        assert_eq!(hits, [false, true, false, false]);
        assert_eq!(injector.strikes(0), 1);
    }

    #[test]
    fn a_set_after_a_commit_is_told_from_another() {
        let after = Some("db.commit".parse().unwrap());
        let fault = Fault { after, ..Fault::on(What::LoseReply, "cache.write").unwrap() };
        let mut injector = Injector::new(&[fault], Seed(1));
        let mut set = target(StepKind::CacheSet, 3);
        assert_eq!(injector.judge(&set), None);
        set.executed = COMMITTED | bit(StepKind::DbUpdate);
        assert_eq!(injector.judge(&set).map(|strike| strike.what), Some(What::LoseReply));
        injector.disarm();
        assert_eq!(injector.judge(&set), None);
    }

    #[test]
    fn a_partition_keeps_out_the_named_clients_only() {
        let fault = Fault { clients: Some(vec![1]), ..Fault::new(What::Unreachable) };
        let mut injector = Injector::new(&[fault], Seed(1));
        assert_eq!(injector.unreachable(&target(StepKind::CacheGet, 0)), None);
        let other = Target { client: ClientId(1), ..target(StepKind::CacheGet, 0) };
        assert!(injector.unreachable(&other).is_some());
    }
}
