//! The programs within a program: each is some of its operations, asked by the same clients.

use std::collections::{BTreeMap, BTreeSet};

use super::subject::Subject;
use crate::operation::{ClientId, OpKind};
use crate::scenario::Group;
use crate::schedule::Choice;

/// The operations of a program, of which some are taken.
pub(super) struct Parts {
    whole: Subject,
    /// Client and line of each operation.
    operations: Vec<(usize, String)>,
}

/// Operations of a program, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(u64);

/// A client's place and its script.
type Script = (usize, Vec<String>);

impl Parts {
    /// The parts of a program that is written out; `None` when it has too many operations for
    /// them to be counted.
    pub fn of(whole: &Subject) -> Option<Parts> {
        let groups = whole.scenario.workload.groups.iter().enumerate();
        let lines = groups.flat_map(|(client, group)| {
            group.script.iter().flatten().map(move |line| (client, line.clone()))
        });
        let operations: Vec<(usize, String)> = lines.collect();
        (operations.len() < 64).then(|| Parts { whole: whole.clone(), operations })
    }

    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// All parts of so many operations, but of those that are one program under other names of
    /// clients only the first.
    pub fn of_size(&self, size: usize) -> impl Iterator<Item = Part> {
        let mut seen = BTreeSet::new();
        let all = combinations(self.operations.len(), size).map(Part);
        all.filter(move |part| {
            let mut scripts = self.scripts(*part);
            if may_change_places(&self.whole) {
                scripts.iter_mut().for_each(|(client, _)| *client = 0);
                scripts.sort();
            }
            seen.insert(scripts)
        })
    }

    /// How many clients take part, and how many rows they ask for.
    pub fn measure(&self, part: Part) -> (usize, usize) {
        let scripts = self.scripts(part);
        let rows: BTreeSet<u64> =
            scripts.iter().flat_map(|(_, lines)| lines).flat_map(|line| rows_of(line)).collect();
        (scripts.len(), rows.len())
    }

    /// The program of a part. Clients without an operation are left out where that changes
    /// neither a name that a rule has for a client nor who shares a process with whom.
    pub fn program(&self, part: Part) -> Subject {
        let scripts = self.scripts(part);
        let mut subject = self.whole.clone();
        let workload = &mut subject.scenario.workload;
        let clients: Vec<usize> = scripts.iter().map(|(client, _)| *client).collect();
        let processes = workload.processes.min(clients.len().max(1) as u32);
        let idlers = names_clients(&self.whole)
            || !share_alike(&clients, workload.processes as usize, processes as usize);
        let last = clients.last().copied().unwrap_or(0);
        let mut by_client: BTreeMap<usize, Vec<String>> = scripts.into_iter().collect();
        if idlers {
            for client in 0..last {
                by_client.entry(client).or_default();
            }
            workload.processes = workload.processes.min(last as u32 + 1);
        } else {
            workload.processes = processes;
        }
        workload.groups = by_client.into_values().map(script).collect();
        subject
    }

    fn scripts(&self, part: Part) -> Vec<Script> {
        let mut scripts: Vec<Script> = Vec::new();
        for (place, (client, line)) in self.operations.iter().enumerate() {
            if part.0 >> place & 1 == 0 {
                continue;
            }
            match scripts.last_mut().filter(|(last, _)| last == client) {
                Some((_, lines)) => lines.push(line.clone()),
                None => scripts.push((*client, vec![line.clone()])),
            }
        }
        scripts
    }
}

/// Numbers of `of` bits with `set` ones, in order (Gosper's hack, HAKMEM 175, 1972).
fn combinations(of: usize, set: usize) -> impl Iterator<Item = u64> {
    let first = (1_u64 << set) - 1;
    std::iter::successors(Some(first), |bits| {
        let low = bits & bits.wrapping_neg();
        let ripple = bits.checked_add(low)?;
        Some(ripple | ((bits ^ ripple) >> 2).checked_div(low)?)
    })
    .take_while(move |bits| bits >> of == 0)
}

/// Whether clients that are in one of so many processes are in one of so few when they are
/// numbered anew, and only then.
fn share_alike(clients: &[usize], processes: usize, fewer: usize) -> bool {
    let shares = |(one, first): (usize, usize), (other, second): (usize, usize)| {
        (first % processes == second % processes) == (one % fewer == other % fewer)
    };
    let numbered = || clients.iter().copied().enumerate();
    numbered().all(|one| numbered().all(|other| shares(one, other)))
}

/// Whether a rule names clients by their numbers, which leaving one out would change.
pub(super) fn names_clients(subject: &Subject) -> bool {
    subject.scenario.faults.iter().any(|fault| fault.clients.is_some())
}

/// Whether a program whose clients change places is the same under other names.
fn may_change_places(subject: &Subject) -> bool {
    let workload = &subject.scenario.workload;
    let apart = workload.processes as usize >= workload.groups.len();
    (workload.processes == 1 || apart) && !names_clients(subject)
}

pub(super) fn script(lines: Vec<String>) -> Group {
    Group { clients: 1, operations: None, mix: None, keys: None, think: None, script: Some(lines) }
}

/// The same program with every client's operations written out, and no client without any.
pub(super) fn written_out(subject: &Subject) -> Subject {
    let mut scripted = subject.clone();
    let plan = subject.plan();
    let workload = &mut scripted.scenario.workload;
    let scripts = plan.clients().iter().map(|client| plan.script(client));
    workload.groups = scripts.filter(|lines| !lines.is_empty()).map(script).collect();
    workload.rows_per_read = 1;
    scripted
}

/// The rows that a line of a script asks for.
fn rows_of(line: &str) -> Vec<u64> {
    let parsed = crate::plan::parse_line(line);
    parsed.map_or_else(|_| Vec::new(), |(_, rows, _)| rows.iter().map(|row| row.0).collect())
}

/// A line that asks for other rows.
fn with_rows(line: &str, renamed: &impl Fn(u64) -> u64) -> String {
    let (what, after) = line.split_once(" after ").unwrap_or((line, ""));
    let Some((verb, list)) = what.split_once(' ') else { return line.to_owned() };
    let rename = |row: &str| match row.trim().parse() {
        Ok(row) => renamed(row).to_string(),
        Err(_) => row.trim().to_owned(),
    };
    let list: Vec<String> = list.split(',').map(rename).collect();
    let after = if after.is_empty() { String::new() } else { format!(" after {after}") };
    format!("{verb} {}{after}", list.join(","))
}

/// The same program with these rows numbered in their order, and no others: those that exist
/// from the start from 0 on, those that are made after them. As it is where a rule names a row.
pub(super) fn with_few_rows(subject: &Subject, asked: &[u64]) -> Subject {
    let mut few = subject.clone();
    if asked.is_empty() || few.scenario.faults.iter().any(|fault| fault.row().is_some()) {
        return few;
    }
    let rows = u64::from(subject.scenario.workload.rows);
    let (old, new): (Vec<u64>, Vec<u64>) = asked.iter().partition(|row| **row < rows);
    let count = old.len().max(1) as u64;
    let place = |list: &[u64], row: u64| list.iter().position(|other| *other == row);
    let renamed = |row: u64| match (place(&old, row), place(&new, row)) {
        (Some(place), _) => place as u64,
        (None, Some(place)) => count + place as u64,
        (None, None) => row,
    };
    few.scenario.workload.rows = count as u32;
    for group in &mut few.scenario.workload.groups {
        for line in group.script.iter_mut().flatten() {
            *line = with_rows(line, &renamed);
        }
    }
    few
}

/// The last row left out, when nobody asks for it.
pub(super) fn without_last_row(subject: &Subject) -> Option<Subject> {
    let rows = u64::from(subject.scenario.workload.rows);
    let plan = subject.plan();
    let asked = plan.clients().iter().flat_map(|client| &client.ops);
    let is_asked = asked.clone().any(|op| op.kind != OpKind::Insert && op.row().0 + 1 == rows);
    (rows > 1 && !is_asked).then(|| {
        let mut candidate = subject.clone();
        candidate.scenario.workload.rows -= 1;
        candidate
    })
}

/// No more processes than clients.
pub(super) fn fit_processes(subject: &mut Subject) {
    let clients = subject.scenario.workload.groups.len() as u32;
    let processes = &mut subject.scenario.workload.processes;
    *processes = (*processes).min(clients.max(1));
}

/// The same program with the rows that it asks for numbered from 0, and no others.
pub(super) fn few_rows(subject: &Subject) -> Subject {
    let groups = &subject.scenario.workload.groups;
    let lines = groups.iter().flat_map(|group| group.script.iter().flatten());
    let asked: BTreeSet<u64> = lines.flat_map(|line| rows_of(line)).collect();
    with_few_rows(subject, &asked.into_iter().collect::<Vec<u64>>())
}

/// The program of a schedule under names in the order of first use, without what the schedule
/// does not use: clients by their first choice, rows by the first operation on them, and only
/// the rules that struck.
pub(super) fn in_order_of_use(subject: &Subject, choices: &[Choice]) -> Subject {
    let mut ordered = subject.clone();
    let used: Vec<u16> = choices.iter().filter_map(|choice| choice.rule()).collect();
    let mut number = 0..;
    ordered.scenario.faults.retain(|_| used.contains(&number.next().expect("endless")));
    let mut clients: Vec<usize> = Vec::new();
    let mut rows: Vec<u64> = Vec::new();
    let groups = &subject.scenario.workload.groups;
    let acts = choices.iter().filter_map(|choice| choice.operation());
    for op in acts.filter(|op| op.client().is_ordinary()) {
        let ClientId(client) = op.client();
        let client = client as usize;
        let lines = groups.get(client).and_then(|group| group.script.as_deref()).unwrap_or(&[]);
        let line = lines.get((op.number() as usize).wrapping_sub(1));
        rows.extend(line.iter().flat_map(|line| rows_of(line)));
        clients.push(client);
    }
    let lines = groups.iter().flat_map(|group| group.script.iter().flatten());
    rows.extend(lines.flat_map(|line| rows_of(line)));
    clients.extend(0..groups.len());
    if may_change_places(subject) {
        let taken = distinct(clients).into_iter().map(|client| groups[client].clone());
        ordered.scenario.workload.groups = taken.collect();
    }
    with_few_rows(&ordered, &distinct(rows))
}

/// Whether two programs have the same clients, rows and rules.
pub(super) fn is_same_program(one: &Subject, other: &Subject) -> bool {
    let scripts = |subject: &Subject| -> Vec<Option<Vec<String>>> {
        let groups = subject.scenario.workload.groups.iter();
        groups.map(|group| group.script.clone()).collect()
    };
    scripts(one) == scripts(other)
        && one.scenario.workload.rows == other.scenario.workload.rows
        && one.scenario.faults == other.scenario.faults
}

/// Each once, in the order of its first appearance.
fn distinct<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subset_of_a_size_comes_once() {
        for (of, set, count) in [(1, 1, 1), (4, 2, 6), (8, 8, 1), (8, 3, 56), (63, 1, 63)] {
            let all: BTreeSet<u64> = combinations(of, set).collect();
            assert_eq!(all.len(), count, "{set} of {of}");
            assert_eq!(combinations(of, set).count(), count, "{set} of {of}");
            assert!(all.iter().all(|bits| bits.count_ones() as usize == set && bits >> of == 0));
        }
    }

    #[test]
    fn clients_that_shared_a_process_share_one_when_they_are_numbered_anew() {
        assert!(share_alike(&[1, 3, 5], 1, 1));
        assert!(share_alike(&[1, 2], 2, 2));
        assert!(!share_alike(&[0, 2], 2, 2), "they shared a process");
        assert!(share_alike(&[1, 2, 3], 2, 2));
    }

    #[test]
    fn lines_ask_for_other_rows() {
        let renamed = |row| row + 5;
        assert_eq!(with_rows("read 0,1 after 3s", &renamed), "read 5,6 after 3s");
        assert_eq!(with_rows("update 2", &renamed), "update 7");
    }
}
