//! What is recorded of operations and values: rules 2, 3 and 4.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use staleproof::check::audit::Class;
use staleproof::explore::{self, Hunt, Kind};
use staleproof::history::record::StepKind;
use staleproof::operation::{Action, Op, OpId, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run;
use staleproof::seed::Seed;
use staleproof::step::{Row, Value};

use super::{REDUCED, WHOLE, explored, hunted, kinds, program, run_once, subject, try_explore};
use crate::common;

/// Caches the row at another price, under the row's own version and writer.
async fn dear(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { return Ok(cx.db.apply(&op.action).await?.reply()) };
    let Some(row) = cx.db.select(id).await? else { return Ok(Reply::Row(None)) };
    let mut columns = row.columns.to_vec();
    for column in &mut columns {
        if let Value::Integer(number) = column {
            *number += 1;
        }
    }
    let other = Row { columns: columns.into(), ..row.clone() };
    cx.cache.set(&cx.key(id), cx.seal(&other), cx.ttl()).await?;
    Ok(Reply::Row(Some(row)))
}

/// A value is known by the operation that wrote it, but what it says is compared all the same.
#[test]
fn the_right_write_with_other_data_is_diverged() {
    let registry = Registry::built_in().pattern("dear", "-", dear);
    let text = program("dear", "", &[&["read 0"]]);
    let run = run_once(&registry, &text);
    assert_eq!(run.entries[0].class, Class::Diverged);
    assert_eq!(run.entries[0].cached, run.entries[0].current, "the writer is the same");
    let found = kinds(&explored(&subject(&registry, &text), REDUCED));
    assert_eq!(found, BTreeSet::from([Kind::Diverged]));
}

/// memcached locks each item by itself, so others come between the keys of a multi-get.
#[test]
fn a_multi_get_is_a_step_for_each_key_and_all_are_on_their_way_at_once() {
    let text = program("cache-aside", "", &[&["read 0,1"]]).replace("rows = 1", "rows = 2");
    let run = common::run_once(&text, 1);
    let gets = run.history.steps.iter().filter(|step| step.kind == StepKind::CacheGet);
    let sent: Vec<_> = gets.map(|step| (step.key.unwrap(), step.sent)).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent[0].0 != sent[1].0 && sent[0].1 == sent[1].1, "{sent:?}");
}

/// Panics where it reads a row that somebody has changed.
async fn startled(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { return Ok(cx.db.apply(&op.action).await?.reply()) };
    let row = cx.db.select(id).await?;
    let changed = row.as_ref().is_some_and(|row| row.writer != OpId::INITIAL);
    assert!(!changed, "planted: the pattern panics");
    Ok(Reply::Row(row))
}

/// A panic is a finding and not the end of the search, also where it depends on the schedule and
/// leaves nothing behind.
#[test]
fn a_panic_is_a_finding_of_explorations_and_hunts() {
    let registry = Registry::built_in().pattern("startled", "-", startled);
    let asked = "[explore]\nproperty = ['final-state']\n";
    let text = program("startled", asked, &[&["read 0", "read 0"], &["update 0"]]);
    let subject = subject(&registry, &text);
    let found = explored(&subject, REDUCED);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["panic product:0, transient"]);
    assert_eq!(found, explored(&subject, WHOLE));
    assert_eq!(found, hunted(&subject, 50));
}

/// Waits for something that is no step where it reads a row that somebody has changed.
async fn elsewhere(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { return Ok(cx.db.apply(&op.action).await?.reply()) };
    let row = cx.db.select(id).await?;
    if row.as_ref().is_some_and(|row| row.writer != OpId::INITIAL) {
        std::future::pending::<()>().await;
    }
    Ok(Reply::Row(row))
}

/// Whoever waits for what nobody schedules is named with the operation and its last step.
#[test]
fn a_pattern_that_waits_for_something_else_is_an_error_with_its_place() {
    let registry = Registry::built_in().pattern("elsewhere", "-", elsewhere);
    let text = program("elsewhere", "", &[&["update 0", "read 0"]]);
    let subject = subject(&registry, &text);
    let explored = try_explore(&subject, REDUCED).map(drop);
    let go_on = || ControlFlow::Continue(());
    let hunted = explore::hunt(&subject, &Hunt::over(1, 1), &go_on).map(drop);
    let scenario = common::try_scenario(&text, &registry).unwrap();
    let run = run::run_once(&scenario, &registry, &common::servers(), Seed(1)).map(drop);
    let problems = [
        explored.unwrap_err().to_string(),
        hunted.unwrap_err().to_string(),
        run.unwrap_err().to_string(),
    ];
    for problem in problems {
        let named = "`elsewhere` waits for something outside staleproof in operation c0#2, after \
                     step 1";
        assert!(problem.contains(named), "{problem}");
    }
}
