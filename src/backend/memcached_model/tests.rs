//! What the model must do, command by command. That the real server does the same is shown
//! by `tests/memcached_differential`.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::operation::OpId;
use crate::step::{
    CacheRefusal, Direction, Item, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet,
    Remaining, StepId, Ttl, Verb, Win,
};

/// A node and a clock; each command is of the next step.
struct Bench {
    node: Node,
    now: Time,
    step: u64,
}

fn bench() -> Bench {
    bounded(Limits::default())
}

fn bounded(limits: Limits) -> Bench {
    Bench { node: Node::new(NodeId(0), limits, 0), now: Time::ZERO, step: 0 }
}

impl Bench {
    fn run(&mut self, command: CacheCommand) -> CacheReply {
        self.step += 1;
        let origin = Origin { step: StepId(self.step), op: OpId(self.step * 10) };
        self.node.execute(self.now, origin, &command, &mut Footprint::off())
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn store(&mut self, verb: Verb, key: &str, value: &str, ttl: i64) -> CacheReply {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.run(CacheCommand::Store { verb, key: key.into(), value, flags: 7, ttl: Ttl(ttl) })
    }

    fn set(&mut self, key: &str, value: &str) {
        assert_eq!(self.store(Verb::Set, key, value, 0), CacheReply::Stored);
    }

    fn item(&mut self, key: &str) -> Option<Item> {
        match self.run(CacheCommand::Get { key: key.into() }) {
            CacheReply::Found(item) => Some(item),
            CacheReply::Miss => None,
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, key: &str) -> Option<String> {
        self.item(key).map(|item| String::from_utf8(item.value.to_vec()).unwrap())
    }

    fn mg(&mut self, key: &str, vivify: Option<i64>, recache: Option<i64>) -> CacheReply {
        let (vivify, recache) = (vivify.map(Ttl), recache.map(Ttl));
        let key = key.into();
        self.run(CacheCommand::MetaGet(MetaGet { key, vivify, recache, touch: None, peek: false }))
    }

    fn win(&mut self, key: &str, vivify: Option<i64>, recache: Option<i64>) -> (Win, bool) {
        match self.mg(key, vivify, recache) {
            CacheReply::Found(item) => (item.win, item.stale),
            other => panic!("{other:?}"),
        }
    }

    fn ms(&mut self, key: &str, cas: Option<u64>, invalidate: bool) -> CacheReply {
        self.run(CacheCommand::MetaSet(MetaSet {
            key: key.into(),
            value: Bytes::from_static(b"filled"),
            flags: 0,
            ttl: Ttl::NEVER,
            mode: MetaMode::Set,
            cas,
            invalidate,
            vivify: None,
        }))
    }

    fn count(&mut self, direction: Direction, delta: u64) -> CacheReply {
        self.run(CacheCommand::Arithmetic { direction, key: "n".into(), delta })
    }

    fn cas(&self, key: &str) -> u64 {
        self.node.peek(self.now, &key.into()).unwrap().cas
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.node.fingerprint(self.now, &mut CasNames::new(), &mut hasher);
        hasher.finish()
    }
}

#[test]
fn a_ttl_of_n_lives_between_n_minus_1_and_n_seconds() {
    for (phase, alive, gone) in [(0, 1_999, 2_000), (999_000_000, 1_000, 1_001)] {
        let mut b = bench();
        b.node.reset(phase);
        b.store(Verb::Set, "a", "v", 2);
        b.wait(alive);
        assert!(b.get("a").is_some(), "phase {phase}");
        assert_eq!(b.node.expiry(&"a".into()), Some(Time(gone * 1_000_000)));
        b.wait(gone - alive);
        assert!(b.get("a").is_none(), "phase {phase}");
    }
}

#[test]
fn expiries_follow_the_30_day_rule() {
    let never = [0, 2_592_000, 1_700_000_000 + 100, i64::from(u32::MAX)];
    let gone = [-1, -2_000_000_000, 2_592_001, 1_600_000_000];
    let mut b = bench();
    for ttl in never {
        b.store(Verb::Set, "a", "v", ttl);
        assert!(b.get("a").is_some(), "{ttl}");
    }
    for ttl in gone {
        assert_eq!(b.store(Verb::Set, "a", "v", ttl), CacheReply::Stored);
        assert!(b.get("a").is_none(), "{ttl}");
        assert_eq!(b.store(Verb::Add, "a", "v", 0), CacheReply::Stored);
    }
}

#[test]
fn a_wall_clock_jump_moves_absolute_expiries_only() {
    let mut b = bench();
    b.node.jump_wall(3600);
    b.store(Verb::Set, "absolute", "v", 1_700_000_000 + 3600 + 10);
    b.store(Verb::Set, "late", "v", 1_700_000_000 + 10);
    b.store(Verb::Set, "relative", "v", 10);
    b.wait(10_000);
    assert!(b.get("relative").is_none());
    assert!(b.get("absolute").is_some() && b.get("late").is_some());
    b.node.jump(3600);
    assert!(b.get("late").is_none() && b.get("absolute").is_some());
}

#[test]
fn flush_all_spares_what_is_set_in_the_same_second() {
    let mut b = bench();
    b.set("old", "v");
    b.run(CacheCommand::FlushAll { delay: None });
    assert_eq!(b.get("old"), None);
    b.set("new", "v");
    assert!(b.get("new").is_some());
}

#[test]
fn a_delayed_flush_strikes_a_second_early_and_swallows_sets_for_a_second() {
    let mut b = bench();
    b.set("old", "v");
    b.run(CacheCommand::FlushAll { delay: Some(2) });
    b.wait(999);
    assert!(b.get("old").is_some());
    b.wait(1);
    assert_eq!(b.get("old"), None);
    b.set("new", "v");
    assert_eq!(b.get("new"), None);
    b.wait(1_000);
    b.set("new", "v");
    assert!(b.get("new").is_some());
}

#[test]
fn a_second_flush_with_a_delay_brings_back_what_the_first_one_hid() {
    let mut b = bench();
    b.set("a", "v");
    b.run(CacheCommand::FlushAll { delay: None });
    b.run(CacheCommand::FlushAll { delay: Some(100) });
    assert!(b.get("a").is_some());
}

#[test]
fn only_a_plain_set_that_is_too_large_removes_the_old_value() {
    let large = "x".repeat(1 << 20);
    for (verb, kept) in [
        (Verb::Set, false),
        (Verb::Add, true),
        (Verb::Replace, true),
        (Verb::Append, true),
        (Verb::Cas(1), true),
    ] {
        let mut b = bench();
        b.set("a", "v");
        let refused = CacheReply::Refusal(CacheRefusal::TooLarge);
        assert_eq!(b.store(verb, "a", &large, 0), refused, "{verb:?}");
        assert_eq!(b.get("a").is_some(), kept, "{verb:?}");
    }
}

#[test]
fn an_append_past_the_limit_is_not_stored() {
    let half = "x".repeat(600_000);
    let mut b = bench();
    b.set("a", &half);
    assert_eq!(b.store(Verb::Append, "a", &half, 0), CacheReply::NotStored);
    assert_eq!(b.get("a").unwrap().len(), 600_000);
}

#[test]
fn appending_keeps_flags_and_expiry_and_renews_the_cas_id() {
    let mut b = bench();
    b.store(Verb::Set, "a", "b", 10);
    let before = b.cas("a");
    let value = Bytes::from_static(b"c");
    let key: Key = "a".into();
    let verb = Verb::Append;
    b.run(CacheCommand::Store { verb, key: key.clone(), value, flags: 1, ttl: Ttl(0) });
    let entry = b.node.peek(b.now, &key).unwrap();
    assert_eq!((entry.flags, entry.value.as_ref()), (7, b"bc".as_ref()));
    assert_eq!(b.node.remaining_of(b.now, entry), Remaining::Seconds(10));
    assert!(entry.cas > before);
}

#[test]
fn a_counter_is_padded_when_it_shrinks_and_made_anew_when_it_grows() {
    let mut b = bench();
    b.set("n", "10");
    assert_eq!(b.count(Direction::Decrement, 1), CacheReply::Number(9));
    assert_eq!(b.get("n").unwrap(), "9 ");
    assert_eq!(b.count(Direction::Increment, 991), CacheReply::Number(1000));
    assert_eq!(b.get("n").unwrap(), "1000");
    assert_eq!(b.count(Direction::Decrement, 5000), CacheReply::Number(0));
    b.set("n", "18446744073709551615");
    assert_eq!(b.count(Direction::Increment, 2), CacheReply::Number(1));
    b.set("n", "x");
    let refused = CacheReply::Refusal(CacheRefusal::NotNumeric);
    assert_eq!(b.count(Direction::Increment, 2), refused);
}

#[test]
fn cas_tells_missing_from_changed() {
    let mut b = bench();
    assert_eq!(b.store(Verb::Cas(1), "a", "v", 0), CacheReply::NotFound);
    b.set("a", "v");
    let cas = b.cas("a");
    assert_eq!(b.store(Verb::Cas(cas + 1), "a", "w", 0), CacheReply::Exists);
    assert_eq!(b.store(Verb::Cas(0), "a", "w", 0), CacheReply::Exists);
    assert_eq!(b.store(Verb::Cas(cas), "a", "w", 0), CacheReply::Stored);
    assert_eq!(b.store(Verb::Cas(cas), "a", "x", 0), CacheReply::Exists);
}

#[test]
fn a_lease_is_won_once_and_a_delete_revokes_it() {
    let mut b = bench();
    assert_eq!(b.win("a", Some(30), None), (Win::Won, false));
    assert_eq!(b.win("a", Some(30), None), (Win::Lost, false));
    assert_eq!(b.get("a").unwrap(), "");
    let lease = b.cas("a");
    b.run(CacheCommand::Delete { key: "a".into() });
    assert_eq!(b.ms("a", Some(lease), false), CacheReply::NotFound);
    assert_eq!(b.win("a", Some(30), None), (Win::Won, false));
    assert_eq!(b.ms("a", Some(lease), false), CacheReply::Exists);
    let lease = b.cas("a");
    assert_eq!(b.ms("a", Some(lease), false), CacheReply::Stored);
    assert_eq!(b.win("a", Some(30), None), (Win::None, false));
}

#[test]
fn recaching_is_won_once_when_little_remains() {
    let mut b = bench();
    b.store(Verb::Set, "a", "v", 20);
    assert_eq!(b.win("a", None, Some(20)), (Win::None, false));
    assert_eq!(b.win("a", None, Some(30)), (Win::Won, false));
    assert_eq!(b.win("a", None, Some(30)), (Win::Lost, false));
    b.set("a", "v");
    assert_eq!(b.win("a", None, Some(30)), (Win::None, false));
}

#[test]
fn an_invalidated_item_is_served_stale_and_won_once() {
    let mut b = bench();
    b.set("a", "v");
    let old = b.cas("a");
    let delete = |ttl| MetaDelete { key: "a".into(), cas: None, invalidate: true, ttl };
    let mark = CacheCommand::MetaDelete(delete(Some(Ttl(30))));
    assert_eq!(b.run(mark), CacheReply::Deleted);
    assert_eq!(b.win("a", None, None), (Win::Won, true));
    assert_eq!(b.win("a", None, None), (Win::Lost, true));
    assert_eq!(b.get("a").unwrap(), "v");
    assert_eq!(b.ms("a", Some(old), false), CacheReply::Exists);
    assert_eq!(b.ms("a", Some(old), true), CacheReply::Stored);
    assert_eq!(b.win("a", None, None), (Win::Lost, true));
    let now = b.cas("a");
    assert_eq!(b.ms("a", Some(now + 1), true), CacheReply::Exists);
    assert_eq!(b.ms("a", Some(now), false), CacheReply::Stored);
    assert_eq!(b.win("a", None, None), (Win::None, false));
}

#[test]
fn a_peek_changes_nothing() {
    let mut b = bench();
    b.store(Verb::Set, "a", "v", 10);
    b.set("b", "v");
    let key: Key = "a".into();
    let mark = MetaDelete { key: key.clone(), cas: None, invalidate: true, ttl: None };
    b.run(CacheCommand::MetaDelete(mark));
    let before = b.fingerprint();
    let peek =
        MetaGet { key, vivify: Some(Ttl(9)), recache: Some(Ttl(30)), touch: None, peek: true };
    assert!(matches!(b.run(CacheCommand::MetaGet(peek)), CacheReply::Found(_)));
    assert_eq!(b.fingerprint(), before);
    let order: Vec<_> = b.node.entries(b.now).map(|entry| entry.key.to_string()).collect();
    assert_eq!(order, ["a", "b"]);
}

#[test]
fn meta_arithmetic_creates_and_compares() {
    let mut b = bench();
    let count = |vivify, cas| {
        CacheCommand::MetaArithmetic(MetaArithmetic {
            key: "n".into(),
            direction: Direction::Increment,
            delta: 2,
            vivify,
            initial: 5,
            ttl: None,
            cas,
        })
    };
    assert_eq!(b.run(count(None, None)), CacheReply::NotFound);
    assert_eq!(b.run(count(Some(Ttl(0)), None)), CacheReply::Number(5));
    assert_eq!(b.run(count(Some(Ttl(0)), None)), CacheReply::Number(7));
    assert_eq!(b.run(count(None, Some(99))), CacheReply::Exists);
}

#[test]
fn the_least_recently_used_item_is_evicted() {
    let mut b = bounded(Limits { items: Some(2), bytes: None });
    b.set("a", "v");
    b.set("b", "v");
    b.get("a");
    b.set("c", "v");
    assert_eq!((b.get("a").is_some(), b.get("b"), b.get("c").is_some()), (true, None, true));
    assert_eq!(b.node.take_evicted().collect::<Vec<_>>(), [Key::from("b")]);
    b.node.set_limits(b.now, Limits { items: Some(1), bytes: None });
    assert_eq!(b.node.take_evicted().collect::<Vec<_>>(), [Key::from("a")]);
}

#[test]
fn bytes_are_accounted_for() {
    let mut b = bounded(Limits { items: None, bytes: Some(200) });
    b.set("a", "v");
    b.set("b", "v");
    assert_eq!(b.node.bytes(), 2 * item_bytes(1, 7, 1));
    b.set("b", &"x".repeat(100));
    assert_eq!(b.get("a"), None);
    let refused = CacheReply::Refusal(CacheRefusal::OutOfMemory);
    assert_eq!(b.store(Verb::Set, "b", &"x".repeat(200), 0), refused);
    assert!(b.node.is_empty() && b.node.bytes() == 0);
}

#[test]
fn a_cold_restart_begins_anew_and_a_warm_one_goes_on() {
    let mut b = bench();
    b.set("a", "v");
    b.store(Verb::Set, "t", "v", 10);
    b.wait(4_300);
    b.node.restart_warm(b.now);
    assert!(b.get("a").is_some() && b.cas("a") == 1);
    b.wait(5_000);
    assert!(b.get("t").is_some());
    b.wait(1_000);
    assert!(b.get("t").is_none());
    b.node.restart(b.now);
    assert_eq!(b.get("a"), None);
    b.store(Verb::Set, "t", "v", 1);
    assert_eq!(b.cas("t"), 1);
    b.wait(999);
    assert!(b.get("t").is_some());
    b.wait(1);
    assert!(b.get("t").is_none());
}

#[test]
fn an_entry_knows_which_step_installed_it() {
    let mut b = bench();
    b.set("n", "1");
    b.get("n");
    assert_eq!(b.node.peek(b.now, &"n".into()).unwrap().origin.step, StepId(1));
    b.count(Direction::Increment, 1);
    assert_eq!(b.node.peek(b.now, &"n".into()).unwrap().origin.step, StepId(3));
}

#[test]
fn states_that_differ_in_cas_numbers_alone_are_one() {
    let (mut one, mut other) = (bench(), bench());
    one.set("a", "v");
    one.set("b", "v");
    other.set("b", "v");
    other.set("x", "v");
    other.run(CacheCommand::Delete { key: "x".into() });
    other.wait(5_000);
    other.set("a", "v");
    assert_eq!(one.fingerprint(), other.fingerprint());
    other.set("a", "w");
    assert_ne!(one.fingerprint(), other.fingerprint());
}

#[test]
fn what_has_expired_still_takes_up_room() {
    let limits = Limits { items: Some(2), bytes: None };
    let (mut one, mut other) = (bounded(limits), bounded(limits));
    for b in [&mut one, &mut other] {
        b.set("a", "v");
    }
    one.store(Verb::Set, "b", "v", 1);
    one.wait(2_000);
    other.wait(2_000);
    assert_ne!(one.fingerprint(), other.fingerprint());
    one.set("c", "v");
    other.set("c", "v");
    assert_eq!((one.get("a"), other.get("a")), (None, Some("v".into())));
}

#[test]
fn a_restart_gives_back_the_first_limits() {
    let limits = Limits { items: Some(9), bytes: None };
    let mut b = bounded(limits);
    b.node.set_limits(b.now, Limits { items: Some(1), bytes: None });
    b.node.restart(b.now);
    assert_eq!(b.node.limits(), limits);
}

#[test]
fn a_peek_leaves_even_what_is_flushed() {
    let mut b = bench();
    b.set("a", "v");
    b.run(CacheCommand::FlushAll { delay: None });
    let (key, before) = (Key::from("a"), b.fingerprint());
    let peek = MetaGet { key, vivify: None, recache: None, touch: None, peek: true };
    assert_eq!(b.run(CacheCommand::MetaGet(peek)), CacheReply::Miss);
    assert_eq!(b.fingerprint(), before);
    b.run(CacheCommand::FlushAll { delay: Some(100) });
    assert_eq!(b.get("a").as_deref(), Some("v"));
}

#[test]
fn gets_commute_and_a_limit_makes_them_meet() {
    for (limits, commute) in
        [(Limits::default(), true), (Limits { items: Some(9), bytes: None }, false)]
    {
        let mut node = Node::new(NodeId(0), limits, 0);
        let mut footprint = |key: &str| {
            let mut footprint = Footprint::on();
            let get = CacheCommand::Get { key: key.into() };
            node.execute(Time::ZERO, Origin::default(), &get, &mut footprint);
            footprint
        };
        assert_eq!(footprint("a").independent_of(&footprint("a")), commute);
        assert_eq!(footprint("a").independent_of(&footprint("b")), commute);
    }
}

#[test]
fn keys_are_1_to_250_bytes() {
    let mut b = bench();
    let refused = CacheReply::Refusal(CacheRefusal::BadCommandLine);
    for (length, reply) in
        [(0, refused.clone()), (1, CacheReply::Stored), (250, CacheReply::Stored), (251, refused)]
    {
        assert_eq!(b.store(Verb::Set, &"k".repeat(length), "v", 0), reply, "{length}");
    }
}
