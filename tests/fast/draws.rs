//! What a rule of faults draws is its own: no rule beside it, and no order in the file, moves it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::common::{self, run_once};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use staleproof::history::record::{History, KeyId};
use staleproof::operation::{Action, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::seed::Seed;
use staleproof::step::{Columns, RowId, StepError};
use staleproof::time::Time;

/// A rule, and the name under which the test knows it again in another list.
type Named = (usize, String);

fn rules(of: &[Named]) -> String {
    of.iter().map(|(_, rule)| format!("[[fault]]\n{rule}\n")).collect()
}

/// A strike: of which step, or when and of which row. When a step was sent depends on those
/// before it, which other rules may have struck.
type Strike = (String, Option<(Time, KeyId)>);

/// By rule: what it struck.
fn strikes(history: &History, of: &[Named]) -> BTreeMap<usize, Vec<Strike>> {
    let mut strikes: BTreeMap<_, Vec<_>> = of.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let mut bypasses = history.ops.iter().filter(|op| op.id.client().to_string() == "bypass");
    for fault in &history.faults {
        let bypass = || (fault.at, bypasses.next().expect("an operation each").key);
        let row = fault.step.is_none().then(bypass);
        let name = of[usize::from(fault.rule)].0;
        strikes.get_mut(&name).unwrap().push((fault.target.clone(), row));
    }
    strikes
}

/// Lists of rules that cannot meet: the strikes of each are the same alone, among the others and
/// in any order.
fn draw_the_same_in_any_list(head: &str, rules_of: fn(&mut StdRng) -> Vec<String>) {
    let mut struck = 0;
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let list: Vec<Named> = rules_of(&mut random).into_iter().enumerate().collect();
        let of = |list: &[Named]| {
            let text = format!("claim = '-'\npattern = 'no-cache'\n{head}{}", rules(list));
            strikes(&run_once(&text, seed).history, list)
        };
        let all = of(&list);
        struck += all.values().map(Vec::len).sum::<usize>();
        let mut shuffled = list.clone();
        shuffled.shuffle(&mut random);
        assert_eq!(of(&shuffled), all, "{list:?} as {shuffled:?}");
        for rule in &list {
            let alone = of(std::slice::from_ref(rule));
            assert_eq!(alone[&rule.0], all[&rule.0], "{rule:?} alone and in {list:?}");
        }
    }
    assert!(struck > 1_000, "{struck}");
}

#[test]
fn a_rule_of_steps_draws_the_same_beside_others_and_in_any_order() {
    // One step an operation and an answer each time, so that no strike moves another's steps.
    let head = "[workload]\nrows = 9\nclients = 4\noperations = 60\n\
                mix = { read = 1, update = 1, insert = 1, delete = 1 }\n\
                [database]\nselect = '1ms'\nwrite = '1ms'\ncommit = '1ms'\nreply = '1ms'\n";
    draw_the_same_in_any_list(head, |random| {
        let mut list = Vec::new();
        for (client, step) in
            (0..4).flat_map(|c| ["select", "update", "insert", "delete"].map(|step| (c, step)))
        {
            let chance = ["0.1", "0.4", "0.9"].choose(random).unwrap();
            if random.random_bool(0.5) {
                list.push(format!(
                    "do = 'fail'\non = 'db.{step}'\nclients = [{client}]\nprobability = {chance}"
                ));
            }
        }
        // Strikes nothing.
        list.push("do = 'refuse'\non = 'cache.incr'\nprobability = 0.5".to_owned());
        list
    });
}

#[test]
fn a_rule_of_the_world_draws_the_same_beside_others_and_in_any_order() {
    let head = "[workload]\nrows = 16\n[[workload.group]]\nclients = 1\n\
                script = ['read 0', 'read 0 after 200ms']\n";
    draw_the_same_in_any_list(head, |random| {
        let mut list = Vec::new();
        // What one rule deletes another cannot strike, so all of them update.
        for row in ["", "row = 3\n", "row = 5\n", "row = 7\n", "row = 9\n", "row = 11\n"] {
            let every = random.random_range(3..20);
            let chance = ["0.3", "1.0"].choose(random).unwrap();
            if random.random_bool(0.5) {
                list.push(format!(
                    "do = 'bypass-update'\n{row}every = '{every}ms'\nprobability = {chance}"
                ));
            }
        }
        list
    });
}

/// The case's rules, as far as named.
fn bypassed(rules: &str) -> Vec<Strike> {
    let text = format!(
        "claim = '-'\npattern = 'no-cache'\n[workload]\nrows = 16\n[[workload.group]]\n\
         clients = 1\nscript = ['read 0', 'read 0 after 60ms']\n{rules}"
    );
    let first = [(0, String::new()), (1, String::new())];
    strikes(&run_once(&text, 1).history, &first).remove(&0).unwrap()
}

const EVERY: &str = "[[fault]]\ndo = 'bypass-update'\nevery = '10ms'\n";

#[test]
fn one_more_bypass_moves_no_row_of_another() {
    let alone = bypassed(EVERY);
    assert_eq!(alone.len(), 6);
    let third = "[[fault]]\ndo = 'bypass-update'\nrow = 3\nat = '25ms'\n";
    assert_eq!(bypassed(&format!("{EVERY}{third}")), alone);
}

#[test]
fn of_two_equal_rules_the_second_draws_for_itself() {
    let rows = |rules: &str, which: usize| {
        let text = format!(
            "claim = '-'\npattern = 'no-cache'\n[workload]\nrows = 1000\n[[workload.group]]\n\
             clients = 1\nscript = ['read 0', 'read 0 after 60ms']\n{rules}"
        );
        let two = [(0, String::new()), (1, String::new())];
        let struck = strikes(&run_once(&text, 1).history, &two).remove(&which).unwrap();
        struck.into_iter().map(|(_, row)| row.unwrap().1).collect::<Vec<KeyId>>()
    };
    let twice = format!("{EVERY}{EVERY}");
    assert_eq!(rows(&twice, 0), rows(EVERY, 0));
    assert_ne!(rows(&twice, 0), rows(&twice, 1));
    // Half of what the first leaves is the second's.
    let refuse = "[[fault]]\ndo = 'refuse'\non = 'cache.set'\nprobability = 0.5\n";
    let text = format!(
        "claim = '-'\npattern = 'write-through'\n[workload]\noperations = 500\n\
         mix = {{ read = 0, update = 1 }}\n{refuse}{refuse}"
    );
    let history = run_once(&text, 1).history;
    let sets = history.steps.iter().filter(|step| step.key.is_some() && step.kind.is_cache());
    let refused = sets.clone().filter(|step| step.error == Some(StepError::Refused)).count();
    let share = refused as f64 / sets.count() as f64;
    assert!((0.72..0.78).contains(&share), "{share}");
}

/// What the reads of `contents` found; only one test asks.
static SEEN: Mutex<BTreeMap<RowId, Columns>> = Mutex::new(BTreeMap::new());

async fn reads(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let Action::Read(id) = op.action else { unreachable!("the script only reads") };
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        SEEN.lock().unwrap().insert(id, row.columns.clone());
    }
    Ok(Reply::Row(row))
}

/// What a read at the end finds in each row.
fn contents(rules: &str) -> BTreeMap<RowId, Columns> {
    let registry = Registry::built_in().pattern("reads", "-", reads);
    let mut script = vec!["read 0 after 60ms".to_owned()];
    script.extend((1..4).map(|row| format!("read {row}")));
    let text = format!(
        "claim = '-'\npattern = 'reads'\n[workload]\nrows = 4\n[[workload.group]]\nclients = 1\n\
         script = {script:?}\n{rules}"
    );
    let scenario = common::try_scenario(&text, &registry).unwrap();
    staleproof::run::run_once(&scenario, &registry, &common::servers(), Seed(1)).unwrap();
    std::mem::take(&mut *SEEN.lock().unwrap())
}

#[test]
fn one_more_bypass_moves_nothing_that_another_writes() {
    let alone = contents("[[fault]]\ndo = 'bypass-update'\nrow = 1\nat = '20ms'\n");
    let both = contents(
        "[[fault]]\ndo = 'bypass-update'\nrow = 2\nat = '10ms'\n\
         [[fault]]\ndo = 'bypass-update'\nrow = 1\nat = '20ms'\n",
    );
    assert_eq!(both[&RowId(1)], alone[&RowId(1)]);
    assert_ne!(both[&RowId(2)], alone[&RowId(2)], "somebody wrote it");
}
