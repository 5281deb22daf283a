//! Every fault does what it says: its effect is looked for in the history.

mod common;

use common::{result, run_once, steps_of};
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
    assert!(result.not_tested[0].contains("never struck"), "{:?}", result.not_tested);
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
