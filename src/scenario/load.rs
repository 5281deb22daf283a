//! Reading scenario files, with errors that name the place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::accept::Bound;
use super::expect::{Comparison, MetricSpec};
use super::folder::files_below;
use super::path::{self as place, Wrong};
use super::suggest::nearest;
use super::{KeyChoice, Scenario, Workload, shape};
use crate::fault::What;

/// What a scenario may refer to.
pub struct Known<'a> {
    /// Names of patterns.
    pub patterns: Vec<&'a str>,
    /// Names of entities.
    pub entities: Vec<&'a str>,
    /// The metrics.
    pub metrics: &'a [MetricSpec],
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1; `None` when it is about the file as a whole.
    pub place: Option<(usize, usize)>,
    /// The line itself.
    pub line: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        let Some((line, column)) = self.place else { return write!(f, ": {}", self.message) };
        write!(f, ":{line}:{column}: {}", self.message)?;
        let width = line.to_string().len();
        write!(f, "\n{:width$} |\n{line} | {}", "", self.line)?;
        write!(f, "\n{:width$} | {:>column$}", "", "^")
    }
}

/// Reads and checks a file; all that is wrong with it is reported at once.
pub fn load(path: &Path, known: &Known<'_>) -> Result<Scenario, Vec<Problem>> {
    let whole = |message: String| {
        vec![Problem { file: path.to_owned(), place: None, line: String::new(), message }]
    };
    let bytes = std::fs::read(path)
        .map_err(|error| whole(format!("cannot be read: {error}; is the path right?")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        whole(format!("is not UTF-8 text (byte {byte}); save it as UTF-8"))
    })?;
    parse(path, &text, known)
}

/// Reads and checks the text of a file.
pub fn parse(path: &Path, text: &str, known: &Known<'_>) -> Result<Scenario, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let at = |error: &toml::de::Error| {
            problem(path, text, error.span(), error.message().replace('\n', ", "))
        };
        return Err(errors.iter().map(at).collect());
    }
    let (scenario, mut wrong) = read(&document);
    if let Some(scenario) = &scenario {
        let mut more: Vec<Wrong> = check(scenario, known)
            .into_iter()
            .map(|(place, message)| Wrong::new(place::Path::parse(&place), message))
            .collect();
        // What is wrong with a table may be what was left out of it.
        more.retain(|new| !wrong.iter().any(|old| new.path.may_follow_from(&old.path)));
        wrong.extend(more);
    }
    match scenario {
        Some(scenario) if wrong.is_empty() => Ok(scenario),
        _ => Err(located(path, text, document.get_ref(), wrong)),
    }
}

/// The scenario, with everything that is wrong left out, and what that was. `None` when too
/// little remains.
fn read(document: &Spanned<DeTable<'_>>) -> (Option<Scenario>, Vec<Wrong>) {
    let schema = schemars::schema_for!(Scenario);
    let mut wrong = shape::check(document.get_ref(), schema.as_value());
    let mut rest = document.clone();
    for wrong in &wrong {
        place::remove(rest.get_mut(), &wrong.path);
    }
    // Each round removes a value, so this ends.
    loop {
        let error = match Scenario::deserialize(Deserializer::from(rest.clone())) {
            Ok(scenario) => return (Some(scenario), wrong),
            Err(error) => error,
        };
        let path = error.span().and_then(|span| place::find(rest.get_ref(), &span));
        let path = path.unwrap_or_default();
        // What is wrong or missing now may follow from what was left out.
        let is_missing = !wrong.is_empty() && error.message().starts_with("missing field");
        if !is_missing && !wrong.iter().any(|old| old.path.is_within(&path)) {
            wrong.push(Wrong::new(path.clone(), error.message().trim()));
        }
        if is_missing || !place::remove(rest.get_mut(), &path) {
            return (None, wrong);
        }
    }
}

/// The problems with their lines, in the order of the file.
fn located(file: &Path, text: &str, document: &DeTable<'_>, wrong: Vec<Wrong>) -> Vec<Problem> {
    let mut placed: Vec<(Range<usize>, String)> = wrong
        .into_iter()
        .map(|wrong| {
            let span = place::locate(document, &wrong.path, wrong.at_key);
            (span, wrong.to_string())
        })
        .collect();
    placed.sort_by_key(|(span, _)| span.start);
    placed.into_iter().map(|(span, message)| problem(file, text, Some(span), message)).collect()
}

fn problem(path: &Path, text: &str, span: Option<Range<usize>>, message: String) -> Problem {
    let file = path.to_owned();
    let Some(span) = span else {
        return Problem { file, place: None, line: String::new(), message };
    };
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let before = &text[..start.unwrap_or(0)];
    let line_number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before[line_start..].chars().count() + 1;
    let line = text[line_start..].lines().next().unwrap_or("").to_owned();
    Problem { file, place: Some((line_number, column)), line, message }
}

/// Paths and what is wrong there.
type Complaints = Vec<(String, String)>;

fn check(scenario: &Scenario, known: &Known<'_>) -> Complaints {
    let mut wrong = Vec::new();
    check_name(&mut wrong, "pattern", &scenario.pattern, &known.patterns);
    check_name(&mut wrong, "entity", &scenario.entity, &known.entities);
    if let Err(problem) = scenario.check_runs() {
        wrong.push(("runs".to_owned(), problem));
    }
    check_workload(&mut wrong, scenario);
    check_servers(&mut wrong, scenario);
    for (number, fault) in scenario.faults.iter().enumerate() {
        if let Err(problem) = fault.check() {
            wrong.push((format!("fault[{number}].{}", problem.field), problem.problem));
        }
        check_fault_targets(&mut wrong, scenario, number);
    }
    check_explore(&mut wrong, scenario, known);
    for (hazard, bound) in &scenario.accept {
        check_accepted(&mut wrong, hazard, bound);
    }
    let expect = &scenario.expect;
    for (section, map) in [
        ("broken-if", &scenario.broken_if),
        ("expect", &expect.all),
        ("expect.each", &expect.each),
        ("expect.some", &expect.some),
    ] {
        for (name, value) in map {
            check_expectation(&mut wrong, section, name, value, known.metrics);
        }
    }
    wrong
}

fn check_name(wrong: &mut Complaints, field: &str, given: &str, known: &[&str]) {
    if known.contains(&given) {
        return;
    }
    let rest = match nearest(given, known.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    wrong.push((field.to_owned(), format!("unknown {field} `{given}`; {rest}")));
}

fn check_accepted(wrong: &mut Complaints, hazard: &str, bound: &str) {
    let path = format!("accept.{hazard}");
    if crate::hazard::find(hazard).is_none() {
        let rest = match nearest(hazard, crate::hazard::all().iter().map(|one| one.id.as_str())) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "see `staleproof list hazards`".to_owned(),
        };
        wrong.push((path, format!("unknown hazard `{hazard}`; {rest}")));
    } else if let Err(message) = Bound::parse(bound) {
        wrong.push((path, message));
    }
}

fn check_explore(wrong: &mut Complaints, scenario: &Scenario, known: &Known<'_>) {
    let explore = &scenario.explore;
    if let Some(defence) = &explore.defence {
        check_name(wrong, "explore.defence", defence, &known.patterns);
    }
    let scripted = scenario.workload.groups.iter().any(|group| group.script.is_some());
    for (field, given) in
        [("readers", explore.readers), ("writers", explore.writers), ("keys", explore.keys)]
    {
        if scripted && given.is_some() {
            let message = format!("the scripts say who does what; leave `{field}` out");
            wrong.push((format!("explore.{field}"), message));
        }
    }
    if explore.expect == Some(super::Expected::Holds) && explore.hazard.is_some() {
        let message = "what is expected to hold has no hazard to be found".to_owned();
        wrong.push(("explore.hazard".to_owned(), message));
    }
}

fn check_workload(wrong: &mut Complaints, scenario: &Scenario) {
    let workload = &scenario.workload;
    let mut at_least_one = |field: &str, value: u32| {
        if value == 0 {
            wrong.push((format!("workload.{field}"), format!("`{field}` must be at least 1")));
        }
    };
    at_least_one("clients", workload.clients);
    at_least_one("processes", workload.processes);
    at_least_one("rows", workload.rows);
    at_least_one("rows-per-read", workload.rows_per_read);
    if workload.rows_per_read > 64 {
        let message = "a read asks for at most 64 rows at once".to_owned();
        wrong.push(("workload.rows-per-read".to_owned(), message));
    }
    let clients = scenario.clients();
    if clients > 100_000 {
        let message = format!("{clients} clients; at most 100,000 are simulated");
        wrong.push(("workload.clients".to_owned(), message));
    }
    if workload.arrivals_per_second.is_some_and(|rate| !(rate > 0.0 && rate <= 1e9)) {
        let message = "a rate lies above 0, and at most at 1e9".to_owned();
        wrong.push(("workload.arrivals-per-second".to_owned(), message));
    }
    check_sizes(wrong, workload);
    check_keys(wrong, "workload.keys", workload.keys, workload.rows);
    check_mix(wrong, "workload.mix", &workload.mix);
    for (number, group) in workload.groups.iter().enumerate() {
        let path = format!("workload.group[{number}]");
        if group.clients == 0 {
            wrong.push((format!("{path}.clients"), "`clients` must be at least 1".to_owned()));
        }
        if let Some(keys) = group.keys {
            check_keys(wrong, &format!("{path}.keys"), keys, workload.rows);
        }
        if let Some(mix) = &group.mix {
            check_mix(wrong, &format!("{path}.mix"), mix);
        }
        for line in group.script.iter().flatten() {
            if let Err(message) = crate::plan::parse_line(line) {
                wrong.push((format!("{path}.script"), message));
            }
        }
    }
}

/// Rows and operations are all drawn before a run: what memory cannot hold is refused here.
fn check_sizes(wrong: &mut Complaints, workload: &Workload) {
    const MOST_ROWS: u32 = 10_000_000;
    const MOST_OPERATIONS: u64 = 100_000_000;
    if workload.rows > MOST_ROWS {
        let message = format!("a run has at most {MOST_ROWS} rows");
        wrong.push(("workload.rows".to_owned(), message));
    }
    let of = |clients: u32, operations: u32| u64::from(clients) * u64::from(operations);
    let operations: u64 = match workload.groups.as_slice() {
        [] => of(workload.clients, workload.operations),
        groups => groups
            .iter()
            .filter(|group| group.script.is_none())
            .map(|group| of(group.clients, group.operations.unwrap_or(workload.operations)))
            .fold(0, u64::saturating_add),
    };
    if operations > MOST_OPERATIONS {
        let message =
            format!("{operations} operations of all clients; a run has at most {MOST_OPERATIONS}");
        wrong.push(("workload.operations".to_owned(), message));
    }
}

fn check_mix(wrong: &mut Complaints, path: &str, mix: &super::Mix) {
    if mix.read == 0 && mix.update == 0 && mix.modify == 0 && mix.insert == 0 && mix.delete == 0 {
        wrong.push((path.to_owned(), "all shares are 0: nothing would be done".to_owned()));
    }
}

fn check_keys(wrong: &mut Complaints, path: &str, keys: KeyChoice, rows: u32) {
    let message = match keys {
        KeyChoice::Zipf(theta) if !(0.0..=10.0).contains(&theta) => "θ lies between 0 and 10",
        KeyChoice::Hotspot { share, .. } if !(0.0..=1.0).contains(&share) => {
            "a share lies between 0 and 1"
        }
        KeyChoice::Hotspot { rows: hot, .. } if hot == 0 || hot > rows => {
            "the hot rows are at least 1 and at most all rows"
        }
        _ => return,
    };
    wrong.push((path.to_owned(), message.to_owned()));
}

fn check_servers(wrong: &mut Complaints, scenario: &Scenario) {
    let cache = &scenario.cache;
    let mut say = |field: &str, message: &str| wrong.push((field.to_owned(), message.to_owned()));
    if cache.nodes == 0 || cache.nodes > 64 {
        say("cache.nodes", "there are 1 to 64 nodes");
    }
    if cache.ttl_seconds.is_some_and(|ttl| ttl < 0) {
        say("cache.ttl-seconds", "a negative TTL expires at once: nothing would ever be cached");
    }
    if cache.items_max == Some(0) {
        say("cache.items-max", "a node that holds nothing caches nothing");
    }
    // A step whose fault always strikes would be sent for ever.
    const MOST_RETRIES: u32 = 1000;
    let retries = format!("at most {MOST_RETRIES} retries are made");
    if cache.retries > MOST_RETRIES {
        say("cache.retries", &retries);
    }
    if scenario.database.retries > MOST_RETRIES {
        say("database.retries", &retries);
    }
    if cache.timeout.is_zero() {
        say("cache.timeout", "a timeout of 0 would end every command");
    }
    if scenario.database.timeout.is_zero() {
        say("database.timeout", "a timeout of 0 would end every statement");
    }
}

fn check_fault_targets(wrong: &mut Complaints, scenario: &Scenario, number: usize) {
    let fault = &scenario.faults[number];
    let clients = scenario.clients();
    if fault.clients.iter().flatten().any(|client| u64::from(*client) >= clients) {
        let message = format!("there are {clients} clients, counted from 0");
        wrong.push((format!("fault[{number}].clients"), message));
    }
    let nodes = scenario.cache.nodes;
    if fault.nodes.iter().flatten().any(|node| *node >= nodes) {
        let message = format!("there are {nodes} nodes, counted from 0");
        wrong.push((format!("fault[{number}].nodes"), message));
    }
    let needs_row = fault.what == What::BypassInsert && fault.row.is_none() && fault.on.is_none();
    if needs_row {
        let message = "say which row is inserted, as in `row = 1000`".to_owned();
        wrong.push((format!("fault[{number}].do"), message));
    }
}

fn check_expectation(
    wrong: &mut Complaints,
    section: &str,
    name: &str,
    value: &toml::Value,
    metrics: &[MetricSpec],
) {
    let path = format!("{section}.{name}");
    let Some(metric) = metrics.iter().find(|metric| metric.name == name) else {
        let rest = match nearest(name, metrics.iter().map(|metric| metric.name)) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "see `staleproof list metrics`".to_owned(),
        };
        wrong.push((path, format!("unknown metric `{name}`; {rest}")));
        return;
    };
    if let Err(message) = Comparison::parse(value, metric.kind) {
        wrong.push((path, message));
    }
}

/// The scenario files at a path: the file itself, or all `.toml` files below a folder, in
/// the order of their paths.
pub fn find_files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let wrong = |message: String| Problem {
        file: path.to_owned(),
        place: None,
        line: String::new(),
        message,
    };
    if !path.is_dir() {
        return match path.exists() {
            true => Ok(vec![path.to_owned()]),
            false => Err(wrong("there is no such file or folder".to_owned())),
        };
    }
    let is_scenario = |path: &Path| path.extension().is_some_and(|ending| ending == "toml");
    let files = files_below(path, is_scenario)
        .map_err(|(_, error)| wrong(format!("cannot be listed: {error}")))?;
    match files.is_empty() {
        true => Err(wrong("the folder has no scenario (`.toml` file) in it".to_owned())),
        false => Ok(files),
    }
}
