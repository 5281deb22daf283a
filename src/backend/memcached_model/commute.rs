//! Footprints are right: what they call independent commutes, from many random states.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::step::{
    Direction, Location, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, Ttl, Verb,
};

const PAIRS: u64 = 60_000;
const SECOND: u64 = 1_000_000_000;

struct Source(ChaCha8Rng);

impl Source {
    fn new(seed: u64) -> Source {
        Source(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn key(&mut self) -> Key {
        Key::from(self.pick(&["a", "a", "a", "b", "c"]))
    }

    fn ttl(&mut self) -> Ttl {
        Ttl(self.pick(&[0, 0, 0, 0, 1, 2, 5, 30, -1]))
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Source) -> T) -> Option<T> {
        (self.below(3) == 0).then(|| make(self))
    }

    fn value(&mut self) -> Bytes {
        Bytes::from_static(self.pick(&[b"1", b"9", b"99", b"text", b"longer text than others"]))
    }

    /// A CAS id that a client can hold: one that some item has or had.
    fn cas(&mut self, node: &Node) -> u64 {
        let (key, old) = (self.key(), 1 + self.below(node.last_cas.max(1)));
        let entry = node.items.place(key.as_bytes()).map(|place| node.items.entry(place).cas);
        if self.below(4) == 0 { old } else { entry.unwrap_or(old) }
    }

    fn command(&mut self, node: &Node) -> CacheCommand {
        let key = self.key();
        match self.below(20) {
            0..4 => CacheCommand::Get { key },
            4 => CacheCommand::GetAndTouch { key, ttl: self.ttl() },
            5..9 => {
                let cas = Verb::Cas(self.cas(node));
                let verbs = [Verb::Set, Verb::Add, Verb::Replace, Verb::Append, Verb::Prepend, cas];
                let (verb, value, ttl) = (self.pick(&verbs), self.value(), self.ttl());
                CacheCommand::Store { verb, key, value, flags: 0, ttl }
            }
            9 => CacheCommand::Delete { key },
            10 => CacheCommand::Touch { key, ttl: self.ttl() },
            11 => {
                let direction = self.pick(&[Direction::Increment, Direction::Decrement]);
                CacheCommand::Arithmetic { direction, key, delta: self.pick(&[1, 5]) }
            }
            12 => match self.below(4) {
                0 => CacheCommand::FlushAll { delay: Some(self.pick(&[0, 1, 2, 3, 10])) },
                _ => CacheCommand::Version,
            },
            13..16 => CacheCommand::MetaGet(MetaGet {
                key,
                vivify: self.some(Source::ttl),
                recache: self.some(Source::ttl),
                touch: self.some(Source::ttl),
                peek: self.below(4) == 0,
            }),
            16 | 17 => {
                let modes = [MetaMode::Set, MetaMode::Add, MetaMode::Replace, MetaMode::Append];
                CacheCommand::MetaSet(MetaSet {
                    key,
                    value: self.value(),
                    flags: 0,
                    ttl: self.ttl(),
                    mode: self.pick(&modes),
                    cas: self.some(|source| source.cas(node)),
                    invalidate: self.below(2) == 0,
                    vivify: None,
                })
            }
            18 => CacheCommand::MetaDelete(MetaDelete {
                key,
                cas: self.some(|source| source.cas(node)),
                invalidate: self.below(3) > 0,
                ttl: self.some(Source::ttl),
            }),
            _ => CacheCommand::MetaArithmetic(MetaArithmetic {
                key,
                direction: Direction::Increment,
                delta: 1,
                vivify: self.some(Source::ttl),
                initial: 7,
                ttl: self.some(Source::ttl),
                cas: self.some(|source| source.cas(node)),
            }),
        }
    }

    /// A node that has lived through a few commands.
    fn node(&mut self) -> (Node, Time) {
        let items = Limits { items: Some(2), bytes: None };
        let bytes = Limits { items: None, bytes: Some(140) };
        let limits = self.pick(&[Limits::default(), Limits::default(), items, bytes]);
        let mut node = Node::new(NodeId(0), limits, self.below(SECOND));
        let mut now = Time::ZERO;
        for _ in 0..self.below(12) {
            now += Duration::from_millis(self.pick(&[0, 0, 100, 1_000]));
            let command = self.command(&node);
            run(&mut node, now, &command);
        }
        if self.below(4) == 0 {
            node.may_restart();
            if self.below(2) == 0 {
                node.restart(now);
            }
        }
        (node, now)
    }
}

/// Executes a command; gives its reply, the keys that were evicted, and the footprint.
fn run(node: &mut Node, now: Time, command: &CacheCommand) -> (CacheReply, Vec<Key>, Footprint) {
    let mut footprint = Footprint::on();
    let reply = node.execute(now, Origin::default(), command, &mut footprint);
    (reply, node.take_evicted().collect(), footprint)
}

/// A reply without the numbers of CAS ids that were drawn just now, unless they matter.
fn named(mut reply: CacheReply, before: &Node) -> CacheReply {
    if let CacheReply::Found(item) = &mut reply
        && item.cas > before.last_cas
        && !before.may_restart
    {
        item.cas = u64::MAX;
    }
    reply
}

fn fingerprint(node: &Node, now: Time) -> u64 {
    let mut names = if node.may_restart { CasNames::numbers() } else { CasNames::new() };
    let mut hasher = DefaultHasher::new();
    node.fingerprint(now, &mut names, &mut hasher);
    hasher.finish()
}

#[test]
fn independent_commands_commute() {
    let mut source = Source::new(1);
    let mut independent = 0;
    for _ in 0..PAIRS {
        let (node, now) = source.node();
        let (a, b) = (source.command(&node), source.command(&node));
        let footprint = |command| run(&mut node.clone(), now, command).2;
        if !footprint(&a).independent_of(&footprint(&b)) {
            continue;
        }
        independent += 1;
        let in_order = |first: &CacheCommand, second: &CacheCommand| {
            let mut after = node.clone();
            let mut seen = [first, second].map(|command| {
                let (reply, evicted, _) = run(&mut after, now, command);
                (named(reply, &node), evicted)
            });
            if !std::ptr::eq(first, &raw const a) {
                seen.reverse();
            }
            (seen, fingerprint(&after, now))
        };
        assert_eq!(in_order(&a, &b), in_order(&b, &a), "{a:?}\n{b:?}\n{node:?}");
    }
    assert!(independent > PAIRS / 10, "only {independent} pairs were independent");
}

#[test]
fn commands_that_do_not_look_at_the_clock_commute_with_time() {
    let mut source = Source::new(2);
    let mut independent = 0;
    for _ in 0..PAIRS {
        let (node, now) = source.node();
        let command = source.command(&node);
        let (mut early, mut late) = (node.clone(), node.clone());
        let later = now + Duration::from_secs(1 + source.below(6));
        let (mut first, evicted, footprint) = run(&mut early, now, &command);
        if footprint.entries().iter().any(|(location, _)| *location == Location::Clock) {
            continue;
        }
        independent += 1;
        let (mut second, evicted_later, _) = run(&mut late, later, &command);
        for reply in [&mut first, &mut second] {
            if let CacheReply::Found(item) = reply {
                item.idle_seconds = 0;
            }
        }
        assert_eq!((first, evicted), (second, evicted_later), "{command:?}\n{node:?}");
        assert_eq!(fingerprint(&early, later), fingerprint(&late, later), "{command:?}\n{node:?}");
    }
    assert!(independent > PAIRS / 10, "only {independent} commands did not look at the clock");
}

#[test]
fn states_with_one_fingerprint_have_one_future() {
    let mut source = Source::new(3);
    let mut seen: BTreeMap<u64, (Node, Time)> = BTreeMap::new();
    let mut compared = 0;
    for _ in 0..PAIRS {
        let (node, now) = source.node();
        let name = fingerprint(&node, now);
        let Some((twin, twin_now)) = seen.get(&name) else {
            seen.insert(name, (node, now));
            continue;
        };
        if node.may_restart != twin.may_restart {
            continue;
        }
        compared += 1;
        let (mut one, mut other) = (node.clone(), twin.clone());
        let mut now = [now, *twin_now];
        for _ in 0..4 {
            // No tokens: those that clients hold are named along with the state.
            let command = without_cas(source.command(&node));
            let wait = Duration::from_secs(source.below(3));
            now.iter_mut().for_each(|now| *now += wait);
            let (a, b) = (run(&mut one, now[0], &command), run(&mut other, now[1], &command));
            let (a, b) = (bare(a.0, a.1), bare(b.0, b.1));
            assert_eq!(a, b, "{command:?}\n{node:?}\n{twin:?}");
        }
        assert_eq!(fingerprint(&one, now[0]), fingerprint(&other, now[1]), "{node:?}\n{twin:?}");
    }
    assert!(compared > PAIRS / 100, "only {compared} pairs of states were alike");
}

fn without_cas(mut command: CacheCommand) -> CacheCommand {
    match &mut command {
        CacheCommand::Store { verb: verb @ Verb::Cas(_), .. } => *verb = Verb::Set,
        CacheCommand::MetaSet(set) => set.cas = None,
        CacheCommand::MetaDelete(delete) => delete.cas = None,
        CacheCommand::MetaArithmetic(count) => count.cas = None,
        _ => {}
    }
    command
}

/// What a pattern can tell of a reply, but for the CAS id.
fn bare(mut reply: CacheReply, evicted: Vec<Key>) -> (CacheReply, Vec<Key>) {
    if let CacheReply::Found(item) = &mut reply {
        (item.cas, item.idle_seconds) = (0, 0);
    }
    (reply, evicted)
}

#[test]
fn a_reset_node_is_as_new() {
    let mut source = Source::new(4);
    for _ in 0..1_000 {
        let (mut node, now) = source.node();
        let limits = node.limits();
        let fresh = Node::new(NodeId(0), limits, 5);
        node.set_limits(now, Limits { items: Some(1), bytes: None });
        node.jump(3);
        node.jump_wall(-4);
        node.reset(5);
        assert_eq!(node.limits(), limits);
        let name = |node: &Node| {
            let mut hasher = DefaultHasher::new();
            node.fingerprint(Time::ZERO, &mut CasNames::numbers(), &mut hasher);
            hasher.finish()
        };
        assert_eq!(name(&node), name(&fresh));
        assert_eq!(node.tick(now), fresh.tick(now));
    }
}
