//! Every fault does what it says: its effect is looked for in the history.

use crate::common::{self, result, run_once, steps_of};
use staleproof::check::audit::Class;
use staleproof::history::record::{Effect, Reported, StepKind};
use staleproof::operation::Outcome;
use staleproof::run::Run;
use staleproof::step::StepError;
use staleproof::time::Time;

fn run(pattern: &str, ops: &[&str], fault: &str) -> Run {
    let text = format!(
        "claim = \"-\"\npattern = \"{pattern}\"\n[workload]\nrows = 2\n\
         [[workload.group]]\nclients = 1\nscript = {ops:?}\n[[fault]]\n{fault}\n"
    );
    let run = run_once(&text, 1);
    assert!(!run.history.faults.is_empty(), "the fault never struck: {fault}");
    run
}

fn entry(run: &Run) -> &staleproof::check::audit::Entry {
    &run.entries[0]
}

fn hazard(run: &Run) -> &'static str {
    entry(run).cause.as_ref().expect("a bad entry has a cause").hazard
}

#[test]
fn a_refused_delete_leaves_the_old_entry() {
    let run = run("cache-aside", &["read 0", "update 0"], "do = 'refuse'\non = 'cache.delete'");
    assert_eq!(entry(&run).class, Class::Stale);
    assert_eq!(hazard(&run), "delete-fails");
    assert_eq!(entry(&run).behind, 1);
    let update = run.history.ops.last().unwrap();
    assert_eq!((update.reported, update.outcome), (Reported::Error, Outcome::Unknown));
    assert_eq!(update.effect, Effect::Committed);
    assert_eq!(run.measure.misreported, 1);
}

#[test]
fn a_lost_request_is_never_executed_and_times_out() {
    let run =
        run("cache-aside", &["read 0", "update 0"], "do = 'lose-request'\non = 'cache.delete'");
    let delete = run.history.steps.iter().find(|step| step.kind == StepKind::CacheDelete).unwrap();
    assert_eq!((delete.executed, delete.error), (Time::NEVER, Some(StepError::Timeout)));
    assert_eq!(delete.answered.since(delete.sent).as_millis(), 50, "the cache's timeout");
    assert_eq!(hazard(&run), "delete-fails");
}

#[test]
fn a_lost_reply_hides_what_took_effect() {
    let run = run("cache-aside", &["read 0", "update 0"], "do = 'lose-reply'\non = 'cache.delete'");
    let delete = run.history.steps.iter().find(|step| step.kind == StepKind::CacheDelete).unwrap();
    assert!(delete.executed < delete.answered && delete.error == Some(StepError::Timeout));
    assert_eq!(entry(&run).class, Class::Absent);
}

#[test]
fn a_lost_commit_reply_is_unknown_and_skips_the_invalidation() {
    let run = run("cache-aside", &["read 0", "update 0"], "do = 'lose-reply'\non = 'db.commit'");
    let update = run.history.ops.last().unwrap();
    assert_eq!((update.outcome, update.effect), (Outcome::Unknown, Effect::Committed));
    assert_eq!(update.end, Time::NEVER);
    assert_eq!(hazard(&run), "lost-reply-db");
}

#[test]
fn a_late_set_lands_after_its_caller_gave_up() {
    // The second update's set overtakes the first one's, which is late.
    let run = run(
        "write-through",
        &["update 0", "update 0"],
        "do = 'deliver-late'\non = 'cache.set'\nnth = 1\ndelay = '20ms'",
    );
    let sets: Vec<_> =
        run.history.steps.iter().filter(|step| step.kind == StepKind::CacheSet).collect();
    assert!(sets[0].executed > sets[0].answered, "it landed after the timeout");
    assert!(sets[0].order > sets[1].order, "others had moved on");
    assert_eq!(entry(&run).class, Class::Stale);
    assert_eq!(hazard(&run), "delayed-request");
}

#[test]
fn a_failed_statement_changes_nothing() {
    let run = run("write-through", &["update 0"], "do = 'fail'\non = 'db.update'");
    let update = &run.history.ops[0];
    assert_eq!((update.reported, update.outcome), (Reported::Error, Outcome::Failed));
    assert_eq!(update.effect, Effect::None);
    assert_eq!(steps_of(&run, "c0#1"), ["db.update"], "the cache is untouched");
}

#[test]
fn a_cancelled_operation_stops_where_it_is() {
    let run =
        run("cache-aside", &["read 0", "update 0", "read 1"], "do = 'cancel'\non = 'cache.delete'");
    assert_eq!(steps_of(&run, "c0#2"), ["db.update"]);
    assert_eq!(run.history.ops[1].reported, Reported::Nothing);
    assert_eq!(run.history.ops.len(), 3, "the client goes on");
    assert_eq!(hazard(&run), "crash-between");
}

/// The clients whose operations ended without any answer.
fn abandoned(what: &str) -> Vec<String> {
    let text = format!(
        "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 2\n\
         [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n\
         [[workload.group]]\nclients = 1\nscript = {:?}\n\
         [[fault]]\ndo = '{what}'\non = 'cache.delete'\n",
        ["read 1"; 40]
    );
    let run = run_once(&text, 1);
    assert_eq!(run.history.faults.len(), 1);
    let ops = run.history.ops.iter().filter(|op| op.reported == Reported::Nothing);
    let mut clients: Vec<String> = ops.map(|op| op.id.client().to_string()).collect();
    clients.sort();
    clients
}

#[test]
fn a_cancellation_ends_one_operation_and_a_crash_all_of_its_process() {
    assert_eq!(abandoned("cancel"), ["c0"]);
    assert_eq!(abandoned("crash"), ["c0", "c1"]);
}

#[test]
fn a_crash_takes_memory_and_all_clients_of_the_process_along() {
    let text = "claim = '-'\npattern = 'write-behind'\n[workload]\nrows = 2\ntick-every = '50ms'\n\
                [[workload.group]]\nclients = 1\nscript = ['update 0', 'read 1']\n\
                [[workload.group]]\nclients = 1\nscript = ['read 1 after 3ms', 'read 1']\n\
                [[fault]]\ndo = 'crash'\non = 'cache.get'\nmoment = 'after'\nbudget = 1\n";
    let run = run_once(text, 1);
    assert_eq!(run.history.faults.len(), 1);
    assert_eq!(run.measure.lost_writes, 1, "the queue was in the process's memory");
    assert_eq!(entry(&run).class, Class::Ahead);
    assert_eq!(hazard(&run), "write-behind-loss");
}

#[test]
fn a_crash_in_a_transaction_rolls_it_back() {
    use staleproof::operation::{Action, Op, Reply};
    use staleproof::pattern::{Cx, Failure, Registry, Traits};

    async fn in_transaction(cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match op.action {
            Action::Read(id) => Ok(Reply::Row(cx.db.select(id).await?)),
            write => {
                cx.db.begin().await?;
                let change = cx.db.apply(&write).await?;
                cx.db.commit().await?;
                Ok(change.reply())
            }
        }
    }
    let traits = Traits { transactions: true, ..Traits::default() };
    let registry = Registry::built_in().pattern_with("tx", "-", traits, |_| Ok(in_transaction));
    let text = "claim = '-'\npattern = 'tx'\n[workload]\nrows = 1\n\
                [[workload.group]]\nclients = 2\nscript = ['update 0', 'read 0']\n\
                [[fault]]\ndo = 'crash'\non = 'db.commit'\nnth = 1\n";
    let scenario = common::try_scenario(text, &registry).unwrap();
    for database in
        [staleproof::run::DatabaseChoice::Sqlite, staleproof::run::DatabaseChoice::Model]
    {
        let servers = staleproof::run::Servers { database, ..Default::default() };
        let run =
            staleproof::run::run_once(&scenario, &registry, &servers, staleproof::seed::Seed(1))
                .unwrap();
        let committed = run.history.ops.iter().filter(|op| op.effect == Effect::Committed).count();
        assert_eq!(committed, run.history.commits.len());
        assert!(committed <= 1, "the crashed transaction is rolled back");
        assert!(run.history.ops.iter().any(|op| op.reported == Reported::Nothing));
        assert_eq!(run.measure.reads.phantom, 0);
    }
}

#[test]
fn a_restarted_node_is_empty() {
    let run =
        run("cache-aside", &["read 0", "read 1 after 20ms"], "do = 'restart-node'\nat = '10ms'");
    assert_eq!(entry(&run).class, Class::Absent);
    assert_eq!(run.entries[1].class, Class::Match);
}

#[test]
fn a_flushed_node_is_empty() {
    let run =
        run("cache-aside", &["read 0", "read 1 after 20ms"], "do = 'flush-node'\nat = '10ms'");
    assert_eq!(entry(&run).class, Class::Absent);
}

#[test]
fn an_evicted_item_is_gone() {
    let run =
        run("cache-aside", &["read 0", "read 1 after 20ms"], "do = 'evict'\nrow = 0\nat = '10ms'");
    assert_eq!(entry(&run).class, Class::Absent);
}

#[test]
fn a_partition_keeps_the_named_clients_out_for_its_time() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 1\n\
                [[workload.group]]\nclients = 2\nscript = ['read 0', 'read 0 after 20ms']\n\
                [[fault]]\ndo = 'unreachable'\nclients = [1]\nuntil = '10ms'\n";
    let run = run_once(text, 1);
    let refused: Vec<_> =
        run.history.steps.iter().filter(|s| s.error == Some(StepError::Refused)).collect();
    assert!(!refused.is_empty());
    for step in refused {
        assert!(step.op.client().0 == 1 && step.sent < Time(10_000_000));
    }
}

#[test]
fn a_clock_that_jumps_expires_items_early() {
    let ops = ["read 0", "read 1 after 20ms"];
    let run = run("cache-aside", &ops, "do = 'jump-clock'\nat = '10ms'\nby-seconds = 400");
    assert_eq!(entry(&run).class, Class::Absent);
    assert_eq!(run.entries[1].class, Class::Match);
}

#[test]
fn bypass_writes_change_rows_and_nobody_invalidates() {
    let ops = ["read 0", "read 0 after 20ms"];
    let update = run("cache-aside", &ops, "do = 'bypass-update'\nrow = 0\nat = '10ms'");
    assert_eq!((entry(&update).class, hazard(&update)), (Class::Stale, "bypass-write"));
    assert_eq!(update.measure.reads.stale_hits, 1);
    let delete = run("cache-aside", &ops, "do = 'bypass-delete'\nrow = 0\nat = '10ms'");
    assert_eq!(entry(&delete).class, Class::Ghost);
    let insert = run("cache-aside", &ops, "do = 'bypass-insert'\nrow = 77\nat = '10ms'");
    assert!(insert.history.commits.iter().any(|commit| !commit.absent));
}

#[test]
fn a_bypass_between_select_and_set_is_a_stale_fill() {
    let run = run("cache-aside", &["read 0"], "do = 'bypass-update'\non = 'cache.set'");
    assert_eq!(entry(&run).class, Class::Stale);
}

#[test]
fn a_lagging_replica_fills_the_cache_with_the_past() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 1\n\
                [database]\nreplica-lag = '100ms'\n\
                [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0', 'read 0']\n";
    let run = run_once(text, 1);
    assert_eq!((entry(&run).class, hazard(&run)), (Class::Stale, "replica-lag-refill"));
    let control = text.replace("cache-aside", "no-cache");
    assert_eq!(run_once(&control, 1).measure.reads.stale, 1, "even without a cache");
}

#[test]
fn limits_evict_the_least_recently_used() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 3\n[cache]\nitems-max = 2\n\
                [[workload.group]]\nclients = 1\nscript = ['read 0', 'read 1', 'read 0', 'read 2']\n";
    let classes: Vec<Class> = run_once(text, 1).entries.iter().map(|entry| entry.class).collect();
    assert_eq!(classes, [Class::Match, Class::Absent, Class::Match]);
}

#[test]
fn a_fault_that_never_strikes_is_not_tested() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[[fault]]\ndo = 'refuse'\non = 'cache.cas'\n\
                [expect]\nbad_entries = '>= 0'\n";
    let result = result(text);
    assert_eq!(result.outcome, staleproof::run::Outcome::NotTested);
    assert!(result.not_tested[0].contains("never took effect"), "{:?}", result.not_tested);
}

#[test]
fn retries_send_again_what_got_no_reply() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 1\n[cache]\nretries = 1\n\
                [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n\
                [[fault]]\ndo = 'lose-request'\non = 'cache.delete'\nnth = 1\n";
    let run = run_once(text, 1);
    assert_eq!(steps_of(&run, "c0#2"), ["db.update", "cache.delete", "cache.delete"]);
    assert_eq!(entry(&run).class, Class::Absent);
}

/// Wrong reads of a client that reads two rows in turn and misses one reply of the cache.
fn wrong_reads(on_timeout: &str, fault: &str) -> u64 {
    let reads: Vec<String> = (0..8).map(|n| format!("read {}", n % 2)).collect();
    let text = format!(
        "claim = '-'\npattern = 'cache-aside'\n[cache]\nretries = 1\n{on_timeout}\n\
         [workload]\nrows = 2\n[[workload.group]]\nclients = 1\nscript = {reads:?}\n\
         [[fault]]\n{fault}\nnth = 5\n"
    );
    let run = run_once(&text, 1);
    assert_eq!(run.history.faults.len(), 1, "{fault}");
    let wrong = run.history.ops.iter().filter(|op| op.wrong).count() as u64;
    assert_eq!(wrong, run.measure.reads.wrong);
    wrong
}

#[test]
fn a_connection_used_again_after_a_timeout_gives_the_next_caller_anothers_row() {
    for fault in [
        "do = 'lose-reply'\non = 'cache.get'",
        "do = 'deliver-late'\non = 'cache.get'\ndelay = '1ms'",
        "do = 'cancel'\non = 'cache.get'\nmoment = 'after'",
    ] {
        // The third read of row 0 misses its reply: all that follow read the one before.
        assert!(wrong_reads("on-timeout = 'reuse'", fault) >= 3, "{fault}");
        assert_eq!(wrong_reads("on-timeout = 'close'", fault), 0, "{fault}");
        assert_eq!(wrong_reads("", fault), 0, "{fault}");
    }
}

#[test]
fn a_reply_of_another_kind_ends_a_connection_out_of_step() {
    // The reply to a delete is what the next get reads; the client notices, and asks the
    // database.
    let text = "claim = '-'\npattern = 'cache-aside'\n[cache]\non-timeout = 'reuse'\n\
                [workload]\nrows = 2\n[[workload.group]]\nclients = 1\n\
                script = ['read 0', 'update 0', 'read 0', 'read 1', 'read 0', 'read 1']\n\
                [[fault]]\ndo = 'lose-reply'\non = 'cache.delete'\n";
    let run = run_once(text, 1);
    let lost = run.history.steps.iter().filter(|s| s.error == Some(StepError::ConnectionLost));
    assert_eq!(lost.count(), 1);
    assert_eq!(run.measure.reads.wrong, 0);
    assert_eq!(run.measure.reads.stale, 0);
}

/// How the deliveries of three clients' sets, one each 10 ms, are struck by a refusal.
fn refused(condition: &str) -> Vec<(u32, Time, bool)> {
    let text = format!(
        "claim = '-'\npattern = 'write-through'\n[workload]\nrows = 3\n\
         [[workload.group]]\nclients = 3\n\
         script = ['update 0', 'update 1 after 10ms', 'update 2 after 10ms']\n\
         [[fault]]\ndo = 'refuse'\non = 'cache.set'\n{condition}\n"
    );
    let history = run_once(&text, 1).history;
    let sets = history.steps.iter().filter(|step| step.kind == StepKind::CacheSet);
    sets.map(|s| (s.op.client().0, s.sent, s.error == Some(StepError::Refused))).collect()
}

#[test]
fn each_condition_of_a_fault_strikes_its_steps_and_no_others() {
    let ms = |n: u64| Time(n * 1_000_000);
    for (condition, strikes) in [
        ("clients = [1]", (|_, client, _| client == 1) as fn(usize, u32, Time) -> bool),
        ("nth = 4", |place, _, _| place == 3),
        ("budget = 2", |place, _, _| place < 2),
        ("from = '8ms'", |_, _, sent| sent >= Time(8_000_000)),
        ("until = '8ms'", |_, _, sent| sent < Time(8_000_000)),
        ("from = '8ms'\nuntil = '18ms'", |_, _, sent| {
            sent >= Time(8_000_000) && sent < Time(18_000_000)
        }),
        ("probability = 1.0", |_, _, _| true),
    ] {
        let sets = refused(condition);
        assert_eq!(sets.len(), 9, "{condition}");
        assert!(sets[0].1 < ms(8) && sets[8].1 > ms(18), "the windows part the sets: {sets:?}");
        let mut order: Vec<usize> = (0..9).collect();
        order.sort_by_key(|place| (sets[*place].1, *place));
        for (place, at) in order.into_iter().enumerate() {
            let (client, sent, struck) = sets[at];
            let due = strikes(place, client, sent);
            assert_eq!(struck, due, "{condition}: set {place} of c{client} at {sent}");
        }
    }
}

#[test]
fn a_probability_strikes_that_share_of_the_steps() {
    let share = |probability: &str| {
        let text = format!(
            "claim = '-'\npattern = 'write-through'\n[workload]\noperations = 500\n\
             mix = {{ read = 0, update = 1 }}\n\
             [[fault]]\ndo = 'refuse'\non = 'cache.set'\nprobability = {probability}\n"
        );
        let history = run_once(&text, 1).history;
        let sets = history.steps.iter().filter(|step| step.kind == StepKind::CacheSet);
        let (mut all, mut struck) = (0, 0);
        for set in sets {
            all += 1;
            struck += u32::from(set.error == Some(StepError::Refused));
        }
        f64::from(struck) / f64::from(all)
    };
    assert!((0.22..0.28).contains(&share("0.25")));
    assert!((0.72..0.78).contains(&share("0.75")));
    assert_eq!(share("0.0"), 0.0);
}

#[test]
fn a_fault_of_one_node_strikes_no_other() {
    let text = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 40\noperations = 100\n\
                [cache]\nnodes = 3\n[[fault]]\ndo = 'refuse'\non = 'cache.get'\nnodes = [1]\n";
    let run = run_once(text, 1);
    let gets = run.history.steps.iter().filter(|step| step.kind == StepKind::CacheGet);
    let mut nodes = [0; 3];
    for get in gets {
        nodes[usize::from(get.node.0)] += 1;
        assert_eq!(get.error == Some(StepError::Refused), get.node.0 == 1);
    }
    assert!(nodes.iter().all(|gets| *gets > 10), "each node is asked: {nodes:?}");
}

#[test]
fn a_fault_narrowed_to_an_operation_strikes_no_other() {
    let run = run(
        "cache-aside",
        &["read 0", "modify 1"],
        "do = 'refuse'\non = 'cache.get'\nop = 'modify'",
    );
    let gets = run.history.steps.iter().filter(|step| step.kind == StepKind::CacheGet);
    let struck: Vec<bool> = gets.map(|get| get.error == Some(StepError::Refused)).collect();
    assert_eq!(struck, [false, true]);
}

#[test]
fn a_pattern_that_panics_is_a_finding_and_not_the_end_of_the_run() {
    use staleproof::operation::{Action, Op, Reply};
    use staleproof::pattern::{Cx, Failure, Registry};

    async fn panicking(cx: &Cx, op: Op) -> Result<Reply, Failure> {
        match op.action {
            Action::Read(id) => Ok(Reply::Row(cx.db.select(id).await?)),
            write => {
                cx.db.apply(&write).await?;
                panic!("planted: the pattern panics after its write");
            }
        }
    }
    let registry = Registry::built_in().pattern("panicking", "-", panicking);
    let text = "claim = '-'\npattern = 'panicking'\n[workload]\nrows = 1\n\
                [[workload.group]]\nclients = 2\nscript = ['update 0', 'read 0']\n";
    let scenario = common::try_scenario(text, &registry).unwrap();
    let seed = staleproof::seed::Seed(1);
    let run = staleproof::run::run_once(&scenario, &registry, &common::servers(), seed).unwrap();
    let reported: Vec<Reported> = run.history.ops.iter().map(|op| op.reported).collect();
    assert_eq!(reported.iter().filter(|r| **r == Reported::Panic).count(), 2);
    assert_eq!(reported.iter().filter(|r| **r == Reported::Ok).count(), 2, "clients go on");
    assert_eq!(run.measure.panics, 2);
}

/// An operation that does not wait for its last step is over in the moment in which that is sent:
/// a fault there ends it once.
#[test]
fn a_fault_at_a_step_that_nobody_waits_for_ends_one_operation() {
    for what in ["crash", "cancel"] {
        let text = format!(
            "claim = '-'\npattern = 'noreply'\n[workload]\nrows = 1\n\
             [[workload.group]]\nclients = 1\nscript = ['update 0', 'update 0', 'delete 0']\n\
             [[fault]]\ndo = '{what}'\non = 'cache.delete'\nbudget = 1\n"
        );
        let history = common::run_once(&text, 1).history;
        let ops: Vec<String> = history.ops.iter().map(|op| op.id.to_string()).collect();
        assert_eq!(ops, ["c0#1", "c0#2", "c0#3"], "{what}");
        assert_eq!(history.ops[0].reported, Reported::Nothing, "{what}");
        let ends = history.ops.iter().map(|op| op.end);
        let starts = history.ops.iter().map(|op| op.start).skip(1);
        assert!(ends.zip(starts).all(|(end, start)| end <= start || end == Time::NEVER), "{what}");
    }
}
