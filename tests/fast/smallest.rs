//! The smallest schedule is the smallest: against all schedules of all parts of generated
//! programs, which are found here by replay alone, without a search.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use staleproof::explore::{
    self, Counterexample, ExploreResult, Finding, Limits, Replayed, Sizes, Subject,
};
use staleproof::pattern::Registry;
use staleproof::run::Servers;
use staleproof::schedule::Choice;

use crate::common;

/// Replays of one program at the most.
const REPLAYS_MAX: u32 = 500;

type Scripts = Vec<Vec<String>>;

fn explored(text: &str, limits: Limits) -> ExploreResult {
    let scenario = common::scenario(text);
    let subject = Subject::of(&scenario, &Registry::built_in(), Sizes::default()).unwrap();
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    explore::explore_scenario(&subject, "s", limits, go_on).unwrap()
}

fn program(pattern: &str, sections: &str, scripts: &[Vec<String>]) -> String {
    let mut text = format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 2\n{sections}");
    for script in scripts {
        text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = {script:?}\n"));
    }
    text
}

/// Runs schedules of a program by replay.
struct Replays {
    registry: Registry,
    example: Counterexample,
    left: u32,
}

/// A schedule that shows the finding: switches, choices, and what they are.
type Shown = (u32, usize, Vec<Choice>);

impl Replays {
    /// Of the program with these scripts, clients and rows as they are numbered there.
    fn of(example: &Counterexample, text: &str, scripts: &Scripts, faults: u32) -> Replays {
        let mut example = example.clone();
        example.scenario = common::scenario(text);
        let groups = example.scenario.workload.groups.clone();
        let group = |script: &Vec<String>| {
            let mut group = groups[0].clone();
            group.script = Some(script.clone());
            group
        };
        example.scenario.workload.groups = scripts.iter().map(group).collect();
        example.faults = faults;
        example.choices.clear();
        example.timeline.steps.clear();
        Replays { registry: Registry::built_in(), example, left: REPLAYS_MAX }
    }

    fn replay(&mut self) -> Option<Replayed> {
        self.left = self.left.checked_sub(1)?;
        Some(self.example.replay(&self.registry, &Servers::default()).unwrap().0)
    }

    /// What can happen after these choices: a replay of one that cannot happen says so.
    fn options(&mut self) -> Option<Vec<Choice>> {
        self.example.choices.push("step c99#1 1".parse().unwrap());
        let replayed = self.replay();
        self.example.choices.pop();
        let happened = replayed?.divergence.expect("it cannot happen").happened;
        let (_, list) = happened.split_once("only these can happen: ").expect("it says which");
        Some(list.split(", ").filter_map(|choice| choice.parse().ok()).collect())
    }

    /// The smallest of all schedules from here on that show a finding of this kind; an error
    /// when there are too many.
    fn smallest(&mut self, finding: &Finding) -> Result<Option<Shown>, ()> {
        let options = self.options().ok_or(())?;
        if options.iter().all(|choice| choice.is_fault()) {
            let found = self.replay().ok_or(())?.findings;
            let same = |f: &Finding| (f.kind, f.lasts) == (finding.kind, finding.lasts);
            let same = |f: &Finding| same(f) && f.hazard == finding.hazard;
            let choices = self.example.choices.clone();
            if found.iter().any(same) {
                return Ok(Some((switches(&choices), choices.len(), choices)));
            }
        }
        let mut smallest = None;
        for option in options {
            self.example.choices.push(option);
            let found = self.smallest(finding)?;
            self.example.choices.pop();
            smallest = smallest.into_iter().chain(found).min();
        }
        Ok(smallest)
    }
}

fn switches(choices: &[Choice]) -> u32 {
    let actor = |choice: &Choice| {
        let text = choice.to_string();
        let words = text.split(['#', ' ']).find(|word| word.starts_with('c'));
        words.map(ToOwned::to_owned)
    };
    let actors: Vec<String> = choices.iter().filter_map(actor).collect();
    actors.windows(2).map(|two| u32::from(two[0] != two[1])).sum()
}

/// Some of the operations of each client; clients without any are left out.
fn parts(scripts: &Scripts) -> Vec<Scripts> {
    let operations: usize = scripts.iter().map(Vec::len).sum();
    let mut parts = Vec::new();
    for bits in 1..1_u32 << operations {
        let mut place = 0..;
        let mut part: Scripts = scripts.clone();
        part.iter_mut()
            .for_each(|script| script.retain(|_| bits >> place.next().unwrap() & 1 == 1));
        part.retain(|script| !script.is_empty());
        parts.push(part);
    }
    parts
}

fn rows(scripts: &Scripts) -> usize {
    let rows = scripts.iter().flatten().map(|line| line.split_once(' ').unwrap().1);
    rows.collect::<BTreeSet<&str>>().len()
}

fn measure(part: &Scripts) -> (usize, usize, usize) {
    (part.concat().len(), part.len(), rows(part))
}

/// Of a program: faults, then operations, clients, rows, then switches and choices.
type Least = (u32, (usize, usize, usize), u32, usize);

/// The least of all schedules of all parts; `None` when there are too many.
fn least(example: &Counterexample, text: &str, scripts: &Scripts, most: u32) -> Option<Least> {
    let mut parts = parts(scripts);
    parts.sort_by_key(measure);
    for faults in 0..=most {
        let mut least: Option<Least> = None;
        for part in &parts {
            // Parts of this measure may show it with fewer switches, greater ones not at all.
            if least.is_some_and(|(_, known, ..)| known < measure(part)) {
                break;
            }
            let shown = Replays::of(example, text, part, faults).smallest(&example.finding).ok()?;
            let shown =
                shown.map(|(switches, choices, _)| (faults, measure(part), switches, choices));
            least = least.into_iter().chain(shown).min();
        }
        if least.is_some() {
            return least;
        }
    }
    panic!("the whole shows it: {text}")
}

fn generated(random: &mut StdRng) -> (&'static str, Scripts, u32) {
    let patterns = [
        "cache-aside",
        "read-through",
        "write-through",
        "delete-before-write",
        "ttl-only",
        "negative-caching",
        "lease",
    ];
    let verbs = ["read", "read", "update", "delete", "modify", "insert"];
    let faults = u32::from(random.random_range(0..3) == 0);
    let operations = if faults > 0 { 2..=3 } else { 2..=4 };
    let mut scripts = vec![Vec::new(); random.random_range(1..=2)];
    for operation in 0..random.random_range(operations) {
        let verb = *verbs.choose(random).unwrap();
        let row = [0, 0, 1].choose(random).unwrap();
        let clients = scripts.len();
        scripts[operation % clients].push(format!("{verb} {row}"));
    }
    (patterns.choose(random).unwrap(), scripts, faults)
}

#[test]
fn no_part_of_a_generated_program_has_a_smaller_schedule() {
    let programs = if std::env::var_os("STALEPROOF_LONG").is_some() { 2_000 } else { 60 };
    let mut random = StdRng::seed_from_u64(7);
    let (mut compared, mut cut, mut struck) = (0, 0, 0);
    for _ in 0..programs {
        let (pattern, scripts, faults) = generated(&mut random);
        let sections = format!(
            "[explore]\nproperty = ['final-state', 'reads']\nfaults = {faults}\n\
             [[fault]]\ndo = 'lose-request'\non = 'cache.write'\n"
        );
        let text = program(pattern, &sections, &scripts);
        let Some(example) = explored(&text, Limits::default()).counterexample else { continue };
        assert_eq!(example.small, None, "{text}");
        let groups = example.scenario.workload.groups.iter();
        let found: Scripts = groups.map(|group| group.script.clone().unwrap()).collect();
        let shown = (switches(&example.choices), example.choices.len());
        let Some(least) = least(&example, &text, &scripts, faults) else { continue };
        let of_found = (example.faults, measure(&found), shown.0, shown.1);
        assert_eq!(of_found, least, "{text}{found:?} {:?}", example.choices);
        // Of its own schedules it is the first, and it has no names that it does not need.
        let own = Replays::of(&example, &text, &found, example.faults);
        let own = { own }.smallest(&example.finding);
        assert!(own.is_ok_and(|own| own.unwrap().2 == example.choices), "{text}{found:?}");
        let first = example.choices.iter().map(ToString::to_string);
        let first = first.clone().find(|choice| choice.contains("#")).unwrap();
        assert!(first.contains("c0#1") && found.concat()[0].ends_with(" 0"), "{first} {found:?}");
        compared += 1;
        cut += u32::from(found.concat().len() < scripts.concat().len());
        struck += u32::from(example.faults > 0);
    }
    println!("{compared} of {programs} programs compared, {cut} cut down, {struck} with a fault");
    assert!(
        compared > programs / 5 && cut > compared / 4 && struck > 1,
        "{compared} {cut} {struck}"
    );
}

fn script(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// To take away one operation after the other stops at three operations of two clients here.
#[test]
fn two_operations_of_one_client_are_found_among_five() {
    let scripts: Scripts = vec![
        script(&["read 0", "update 0"]),
        script(&["insert 5", "read 5"]),
        script(&["update 5"]),
    ];
    let text = program("read-through", "[explore]\nproperty = ['final-state']\n", &scripts);
    let example = explored(&text, Limits::default()).counterexample.unwrap();
    let groups: Vec<_> = example.scenario.workload.groups.iter().map(|g| &g.script).collect();
    assert_eq!(groups, [&Some(script(&["read 0", "update 0"]))]);
    assert_eq!((example.choices.len(), example.small), (4, None));
}

/// What was not searched whole is small, not smallest, and says why.
#[test]
fn a_limit_makes_a_counterexample_a_small_one() {
    let scripts: Scripts = vec![script(&["read 0", "read 0"]), script(&["update 0", "update 0"])];
    let text = program("cache-aside", "[explore]\nproperty = ['final-state']\n", &scripts);
    let whole = explored(&text, Limits::default()).counterexample.unwrap();
    assert_eq!(whole.small, None);
    assert!(staleproof::report::exploration::smallest(&whole).contains("smallest schedule for "));
    let cut_short = explored(&text, Limits { schedules: 6 }).counterexample.unwrap();
    let small = cut_short.small.clone().expect("not all was searched");
    let shown = staleproof::report::exploration::smallest(&cut_short);
    assert!(shown.contains("  small schedule for ") && shown.contains(&small), "{shown}");
}

/// A delete that its process never got to send on stands after the commit that came before it.
#[test]
fn a_step_that_never_took_effect_stands_where_it_was_sent() {
    let sections = "[[fault]]\ndo = 'crash'\non = '*'\n[explore]\nproperty = ['final-state']\n\
                    hazard = 'delete-fails'\n";
    let text = program("cache-aside", sections, &[script(&["read 0", "update 0"])]);
    let example = explored(&text, Limits::default()).counterexample.unwrap();
    let kinds: Vec<_> = example.timeline.steps.iter().map(|s| (&s.kind[..], s.executed)).collect();
    let of = |wanted| kinds.iter().position(|step| *step == wanted);
    let (commit, delete) = (of(("db.update", true)), of(("cache.delete", false)));
    assert!(commit.is_some() && commit < delete, "{kinds:?}");
}
