//! Tests of states: that one which is gone back to is the one that was left, and that two of one
//! name have one future.

mod programs;

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::finding::Finding;
use super::judge::{self, Question};
use super::search::{Models, node_names};
use super::subject::Subject;
use super::timing::needed;
use crate::schedule::{
    Checkpoint, Choice, Effects, Extent, Fold128, Places, Servers, Stepper, Timing, leaving_out,
    route, terms_of,
};
use crate::seed::{Purpose, Seed, below};
use crate::step::ConnectionId;
use programs::{asked, of_hazards, of_patterns, of_terms};

/// Choices of a walk at the most.
const LENGTH: usize = 60;

/// Runs something with a fresh execution of a program.
fn start<T>(subject: &Subject, run: &mut dyn FnMut(&mut Stepper<'_>, &Question<'_>) -> T) -> T {
    let plan = subject.plan();
    let node_names = node_names(subject);
    let mut program = subject.program(&plan, &node_names);
    program.track = subject.track();
    if needed(subject, &Extent::default()) > Timing::Order {
        program.timing = Timing::Expiry;
    }
    assert!(!program.hides_state(), "such a program was left out");
    let node_of = route(&node_names);
    let name_hazards = subject.name_hazards;
    let question = Question { name_hazards, ..Question::of(subject, &node_of) };
    let mut result = None;
    Models::of(subject)
        .with(&mut |cache, database| {
            result = Some(run(&mut program.start(cache, database)?, &question));
            Ok(())
        })
        .unwrap();
    result.expect("it has run")
}

/// All that can be seen of a state on a walk.
struct Seen {
    options: Vec<Choice>,
    name: Option<u128>,
    copy: Checkpoint,
    /// What the choice that led here touched.
    effects: Effects,
}

impl Seen {
    fn of(stepper: &Stepper<'_>, effects: Effects) -> Seen {
        let copy = stepper.save().expect("models can be copied");
        Seen { options: stepper.options(), name: name(stepper), copy, effects }
    }

    /// In what another state differs.
    fn difference(&self, stepper: &Stepper<'_>, effects: Option<&Effects>) -> Option<String> {
        if let Some(part) = stepper.difference(&self.copy) {
            return Some(format!("{part} differs"));
        }
        if stepper.options() != self.options {
            return Some(format!("{:?} can happen, not {:?}", stepper.options(), self.options));
        }
        if effects.is_some_and(|effects| *effects != self.effects) {
            return Some(format!("{effects:?} was touched, not {:?}", self.effects));
        }
        (name(stepper) != self.name).then(|| "the name differs".to_owned())
    }
}

fn name(stepper: &Stepper<'_>) -> Option<u128> {
    let mut hasher = Fold128::default();
    stepper.fingerprint(&mut hasher).map(|_| hasher.finish128())
}

/// Makes the choices of a walk from one of its states on; says where it is no longer the same.
fn walk_again(
    stepper: &mut Stepper<'_>,
    walk: &[Seen],
    choices: &[Choice],
    from: usize,
) -> Result<(), String> {
    let wrong = |place: usize, difference: String| Err(format!("at {place}: {difference}"));
    if let Some(difference) = walk[from].difference(stepper, None) {
        return wrong(from, difference);
    }
    for place in from..choices.len() {
        let effects = stepper.take(choices[place]).map_err(|error| error.to_string())?;
        if let Some(difference) = walk[place + 1].difference(stepper, Some(&effects)) {
            return wrong(place + 1, difference);
        }
    }
    Ok(())
}

/// Walks at random, goes back twice and walks the same way again, then once more from the start.
fn go_back(subject: &Subject, seed: u64) -> Result<(), String> {
    let draw = |which: u64, below_this: usize| {
        let draw = Seed(seed).draw(Purpose::Walk, 7, which);
        below(draw, below_this as u64) as usize
    };
    let (walk, choices) = start(subject, &mut |stepper, _| {
        let mut walk = vec![Seen::of(stepper, Effects::default())];
        let mut choices = Vec::new();
        while let last = walk.last().expect("it has begun")
            && !last.options.is_empty()
            && choices.len() < LENGTH
        {
            let choice = last.options[draw(choices.len() as u64, last.options.len())];
            choices.push(choice);
            let effects = stepper.take(choice).map_err(|error| error.to_string())?;
            walk.push(Seen::of(stepper, effects));
        }
        let first = draw(1_000, walk.len());
        let second = first + draw(1_001, walk.len() - first);
        for place in [second, first] {
            stepper.restore(&walk[place].copy).map_err(|error| error.to_string())?;
            walk_again(stepper, &walk, &choices, place)
                .map_err(|problem| format!("back to {place} of {choices:?}, {problem}"))?;
        }
        Ok::<_, String>((walk, choices))
    })?;
    start(subject, &mut |stepper, _| {
        walk_again(stepper, &walk, &choices, 0)
            .map_err(|problem| format!("from the start of {choices:?}, {problem}"))
    })
}

/// Walks of all programs; says where one goes wrong.
fn walks(programs: &[(String, Subject)], seeds: u64) -> Result<(), String> {
    for (name, subject) in programs {
        for seed in 0..seeds {
            go_back(subject, seed).map_err(|problem| format!("{name}, seed {seed}: {problem}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_state_that_is_gone_back_to_is_the_one_that_was_left() {
    let programs = [of_patterns(), of_hazards()].concat();
    assert_eq!(walks(&programs, 4), Ok(()));
}

/// Whoever is cancelled leaves the others of its process alone: a select's answer may come after.
#[test]
fn a_cancel_hurries_nobody_else() {
    let subject = programs::subject(
        "cancel",
        "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 2\n\
         [[workload.group]]\nclients = 1\nscript = ['read 0']\n\
         [[workload.group]]\nclients = 1\nscript = ['read 1']\n\
         [[workload.group]]\nclients = 1\nscript = ['update 0 after 500ms']\n\
         [[workload.group]]\nclients = 1\nscript = ['read 1']\n\
         [[fault]]\ndo = 'cancel'\non = '*'\nclients = [1]\n[explore]\nfaults = 1\n",
    );
    let schedule = [
        "step c0#1 1",
        "step c0#1 2",
        "step c1#1 1",
        "fault-client 0 c1",
        // So the cancel was within the first 50 ms.
        "step c3#1 1",
        // Half a second later at the least; the fill of the first is still to come.
        "step c2#1 1",
        "step c0#1 3",
    ];
    start(&subject, &mut |stepper, _| {
        for text in schedule {
            let choice: Choice = text.parse().unwrap();
            assert!(stepper.options().contains(&choice), "{text}: {:?}", stepper.options());
            stepper.take(choice).unwrap();
        }
    });
}

/// What can be seen of a state: what can happen, by the names of the state's form, and what is
/// wrong where all is done.
type View = (Vec<Choice>, Option<Vec<Finding>>);

/// A state is compared with so many others of its name.
const AGAIN: u32 = 3;

/// Looks for states that have one name and not one future.
struct Futures<'a> {
    question: &'a Question<'a>,
    seed: Seed,
    /// By name, the state that was met first, and how often it was compared.
    first: FxHashMap<u128, (Rc<Checkpoint>, u32)>,
    /// How many were compared with the first of their name.
    compared: u32,
}

impl Futures<'_> {
    /// Walks at random, and looks at all states that are next to the walk.
    fn walk(&mut self, stepper: &mut Stepper<'_>, which: u64) -> Result<(), String> {
        for place in 0..LENGTH as u64 {
            let here = self.look(stepper)?;
            let options = stepper.options();
            for choice in &options {
                step(stepper, *choice)?;
                self.look(stepper)?;
                stepper.restore(&here).map_err(|error| error.to_string())?;
            }
            if options.is_empty() {
                break;
            }
            let draw = self.seed.draw(Purpose::Walk, which, place);
            step(stepper, options[below(draw, options.len() as u64) as usize])?;
        }
        Ok(())
    }

    /// Looks at a state and at all that come after it, each once, while there are any `left`.
    fn search(&mut self, stepper: &mut Stepper<'_>, left: &mut u32) -> Result<(), String> {
        let known = self.first.len();
        let here = self.look(stepper)?;
        if *left == 0 || known == self.first.len() {
            return Ok(());
        }
        *left -= 1;
        for choice in stepper.options() {
            step(stepper, choice)?;
            self.search(stepper, left)?;
            stepper.restore(&here).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// A state whose name is known is compared with the first that had it, and with another
    /// past: a random walk from one must be one from the other.
    fn look(&mut self, stepper: &mut Stepper<'_>) -> Result<Checkpoint, String> {
        let here = stepper.save().expect("models can be copied");
        let name = name(stepper).expect("the state can be seen");
        let Some((first, met)) = self.first.get(&name).cloned() else {
            let again = stepper.save().expect("models can be copied");
            self.first.insert(name, (Rc::new(again), 1));
            return Ok(here);
        };
        if met < AGAIN && stepper.difference(&first).is_some() {
            self.first.insert(name, (Rc::clone(&first), met + 1));
            self.compared += 1;
            self.compare(stepper, &first, &here)?;
        }
        Ok(here)
    }

    /// Walks on from here, then the same way from the first state of this name, which may have
    /// other names for its clients.
    fn compare(
        &self,
        stepper: &mut Stepper<'_>,
        first: &Checkpoint,
        here: &Checkpoint,
    ) -> Result<(), String> {
        let from = stepper.choices().to_vec();
        let places = places(stepper);
        let mut walk = Vec::new();
        for place in 0..LENGTH as u64 {
            let view = self.view(stepper, &places)?;
            let draw = self.seed.draw(Purpose::Walk, u64::from(self.compared), place);
            let choice =
                (!view.0.is_empty()).then(|| view.0[below(draw, view.0.len() as u64) as usize]);
            walk.push((view, choice));
            let Some(choice) = choice else { break };
            step_in_form(stepper, &places, choice)?;
        }
        stepper.restore(first).map_err(|error| error.to_string())?;
        let known = stepper.choices().to_vec();
        let places = self::places(stepper);
        for (expected, choice) in &walk {
            let view = self.view(stepper, &places)?;
            if view != *expected {
                let went = &stepper.choices()[known.len()..];
                return Err(format!(
                    "{expected:?} after {from:?}\nbut {view:?} after {known:?}\nwent {went:?}"
                ));
            }
            if let Some(choice) = choice {
                step_in_form(stepper, &places, *choice)?;
            }
        }
        stepper.restore(here).map_err(|error| error.to_string())
    }

    fn view(&self, stepper: &mut Stepper<'_>, places: &Places) -> Result<View, String> {
        let naming = stepper.naming(places);
        let mut options: Vec<Choice> =
            stepper.options().into_iter().map(|choice| nameless(naming.in_form(choice))).collect();
        options.sort_unstable();
        Ok((options, self.findings(stepper)?))
    }

    fn findings(&self, stepper: &mut Stepper<'_>) -> Result<Option<Vec<Finding>>, String> {
        if !stepper.is_quiescent() {
            return Ok(None);
        }
        let deadlocks = stepper.deadlocks();
        let (history, cache, database) = stepper.at_rest().unwrap();
        let found = judge::judge(history, cache, database, deadlocks, self.question);
        found.map(Some).map_err(|error| error.to_string())
    }
}

fn step(stepper: &mut Stepper<'_>, choice: Choice) -> Result<(), String> {
    stepper.take(choice).map(drop).map_err(|error| error.to_string())
}

fn places(stepper: &Stepper<'_>) -> Places {
    stepper.fingerprint(&mut Fold128::default()).expect("the state can be seen")
}

/// Makes the choice happen that has this name where clients have these places.
fn step_in_form(stepper: &mut Stepper<'_>, places: &Places, wanted: Choice) -> Result<(), String> {
    let naming = stepper.naming(places);
    let is_it = |choice: &Choice| nameless(naming.in_form(*choice)) == wanted;
    let choice = stepper.options().into_iter().find(is_it);
    step(stepper, choice.ok_or_else(|| format!("{wanted:?} cannot happen"))?)
}

/// Connections have their numbers from the order in which they were opened.
fn nameless(choice: Choice) -> Choice {
    match choice {
        Choice::Disconnect(_) => Choice::Disconnect(ConnectionId(0)),
        other => other,
    }
}

/// Compares states of one name that are met by so many walks, or by a search of so many states;
/// says how many there were.
fn futures(subject: &Subject, walks: u64, mut states: u32) -> Result<u32, String> {
    start(subject, &mut |stepper, question| {
        let (first, seed) = (FxHashMap::default(), Seed(1));
        let mut futures = Futures { question, seed, first, compared: 0 };
        let begin = stepper.save().expect("models can be copied");
        for which in 0..walks {
            futures.walk(stepper, which)?;
            stepper.restore(&begin).map_err(|error| error.to_string())?;
        }
        futures.search(stepper, &mut states)?;
        Ok(futures.compared)
    })
}

/// How many walks are made of each program; more in the long mode.
fn walks_each(usual: u64) -> u64 {
    std::env::var_os("STALEPROOF_LONG").map_or(usual, |_| usual * 20)
}

/// States of small programs that are searched for others of their name.
const SEARCHED: u32 = 2_000;
/// Fewer do where a term is left out.
const SEARCHED_WITHOUT: u32 = 700;

#[test]
fn states_of_one_name_have_one_future() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    let walked = asked(&[of_patterns(), of_hazards()].concat());
    let searched = asked(&of_terms());
    let walked = walked.iter().map(|program| (program, walks_each(3), 0));
    let searched = searched.iter().map(|program| (program, 0, SEARCHED));
    for ((name, subject), walks, states) in walked.chain(searched) {
        match futures(subject, walks, states) {
            Ok(some) => compared += some,
            Err(problem) => wrong.push(format!("{name}: {problem}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n{} programs", wrong.join("\n"), wrong.len());
    assert!(compared > 10_000, "only {compared} states had the name of another");
}

/// Terms that may be left out of a copy or a name without a test noticing, and why.
const NOT_NOTICED: [(&str, &str); 28] = [
    ("Actor.doing", "what is under way has steps under way, or has been told something"),
    ("Background.waiting", "background work that does not wait is under way"),
    ("Bypass.count", "it names the next writer, and nobody asks for names"),
    ("Client.begun", "steps under way carry the number of their operation, pauses their client"),
    ("Clock.commits", "the database's own name has what was committed"),
    ("Clock.items", "the node's own name has their TTLs, and no small program needs two ticks"),
    ("Clock.only", "the moment that it holds fast is in the differences between moments"),
    ("Clock.told", "the pause before a step that is under way is in its window too"),
    ("Clock.windows", "pauses and timeouts follow from the steps, since when from the moments"),
    ("Current.effects", "steps sent and answers seen are in the trail"),
    ("Current.transaction_effects", "as are those within a transaction"),
    (
        "History.commits, before a modify",
        "the reply to its commit has the version, unless that is lost",
    ),
    ("History.commits", "what ended has them too, and reads that are under way come to little"),
    ("Progress.deadlocks", "no built-in pattern comes to a deadlock"),
    ("Progress.hanging", "the database's open transactions are in its own name"),
    ("Progress.invoked", "an operation is invoked with its first step, which the trail has"),
    ("Progress.locked", "statements that wait are in the database's own name"),
    ("Progress.sleeping", "no built-in pattern sleeps while it waits for a step"),
    ("State.now, in its second", "no small program comes to one state at two times"),
    // A commit becomes visible a nanosecond sooner or later, by how many choices came before it:
    // two states of one name differ in whether the clock may move on by that much.
    (
        "Followers.replica",
        "a program of its own would be needed, and exploration's clock is in its way",
    ),
    ("Trail.tokens", "no small program has two entries of one content meet one pending cas"),
    ("copy History.phases", "they are written whenever all is done, before anybody reads them"),
    ("copy Monitor.witnesses", "names of hazards are not asked for here"),
    ("copy Progress.deadlocks", "no built-in pattern comes to a deadlock"),
    ("copy Progress.sleeping", "no built-in pattern sleeps while it waits for a step"),
    ("copy Recorder.row_keys", "only rows from 2^20 on are in there"),
    ("copy Standing.moved", "without it every future is made anew, which takes longer"),
    ("story", "names of hazards are not asked for here"),
];

/// Whether a test notices that a term is left out: by an assertion of the world's own, too.
fn is_noticed(term: &'static str, test: impl Fn() -> bool) -> bool {
    let guarded = std::panic::AssertUnwindSafe(|| !test());
    leaving_out(term, || std::panic::catch_unwind(guarded)).unwrap_or(true)
}

/// Holds that each term but those that are listed is noticed by a test; in the long mode also that
/// these are not, and that nothing is noticed where nothing is left out.
fn are_noticed(terms: &[&'static str], test: impl Fn() -> bool) {
    let listed = |term: &str| NOT_NOTICED.iter().any(|(name, _)| *name == term);
    let long = std::env::var_os("STALEPROOF_LONG").is_some();
    assert!(!long || test(), "something is wrong without leaving anything out");
    let looked_at = terms.iter().filter(|term| long || !listed(term));
    let wrong: Vec<_> = looked_at.filter(|term| is_noticed(term, &test) == listed(term)).collect();
    assert!(wrong.is_empty(), "not noticed, or listed and noticed: {wrong:?}");
}

#[test]
fn a_field_that_is_left_out_of_the_copy_is_noticed() {
    let programs = [of_terms(), of_patterns(), of_hazards()].concat();
    let mut terms = terms_of(|| walks(&programs, 1).unwrap());
    terms.retain(|term| term.starts_with("copy "));
    assert!(terms.len() > 40, "{terms:?}");
    are_noticed(&terms, || walks(&programs, 12).is_ok());
}

#[test]
fn a_term_that_is_left_out_of_the_name_is_noticed() {
    let programs = asked(&[of_patterns(), of_hazards()].concat());
    let small = asked(&of_terms());
    let mut terms = terms_of(|| {
        let all = small.iter().chain(&programs);
        assert!(all.map(|(_, subject)| futures(subject, 1, 0)).all(|compared| compared.is_ok()));
    });
    terms.retain(|term| !term.starts_with("copy "));
    assert!(terms.len() > 30, "{terms:?}");
    are_noticed(&terms, || {
        small.iter().all(|(_, subject)| futures(subject, 0, SEARCHED_WITHOUT).is_ok())
            && programs.iter().all(|(_, subject)| futures(subject, 3, 0).is_ok())
    });
}
