//! The programs whose states are tested.

use std::path::Path;

use crate::explore::subject::{Sizes, Subject};
use crate::pattern::Registry;
use crate::run::metrics;
use crate::scenario::{Known, OnTimeout, Property, find_files, parse};

pub(super) fn subject(file: &str, text: &str) -> Subject {
    let registry = Registry::built_in();
    let metrics = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: registry.entities().iter().map(|entity| entity.name()).collect(),
        metrics: &metrics,
    };
    let scenario = parse(Path::new(file), text, &known).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{file}: {}", problems.join("\n"))
    });
    Subject::of(&scenario, &registry, Sizes::default()).unwrap()
}

/// Every pattern under the usual faults, with clients that read, write, modify, delete and insert,
/// and in one more program with pauses.
pub(super) fn of_patterns() -> Vec<(String, Subject)> {
    let scripts = [
        ("writes", "", ["'read 0', 'delete 0'", "'modify 0', 'read 0'", "'insert 0'"]),
        (
            "time",
            "[cache]\nttl-seconds = 2\nnodes = 2\n",
            [
                "'read 0', 'read 0 after 2170ms'",
                "'update 0', 'update 0 after 1130ms'",
                "'modify 0'",
            ],
        ),
    ];
    let mut programs = Vec::new();
    for entry in Registry::built_in().patterns().iter().filter(|entry| !entry.traits.hidden_state) {
        for (name, sections, clients) in scripts {
            let mut text = format!("claim = '-'\npattern = '{}'\n{sections}", entry.name);
            text.push_str("[workload]\nrows = 1\n[explore]\nfaults = 2\nadvances = 2\n");
            for script in clients {
                text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = [{script}]\n"));
            }
            programs.push((format!("{} {name}", entry.name), subject(name, &text)));
        }
    }
    programs
}

/// Small programs, each of which needs some of what identifies a state.
pub(super) fn of_terms() -> Vec<(String, Subject)> {
    let programs = [
        (
            "a counter that is counted up twice",
            "pattern = 'cached-counter'\n\
             [[fault]]\ndo = 'lose-reply'\non = 'cache.write'\n\
             [[fault]]\ndo = 'lose-request'\non = 'cache.write'\n\
             [[fault]]\ndo = 'restart-node'\non = 'cache.write'\n",
            &["'read 0', 'update 0'"][..],
        ),
        (
            "a read-modify-write beside another write",
            "pattern = 'cache-aside'\n",
            &["'modify 0'", "'update 0', 'update 0'"],
        ),
        (
            "a step of an earlier round that comes late",
            "pattern = 'gutter'\n[cache]\nnodes = 2\n\
             [[fault]]\ndo = 'cancel'\non = '*'\n[[fault]]\ndo = 'refuse'\non = 'cache.*'\n",
            &["'read 0'", "'update 0'"],
        ),
        (
            "a rule about what comes after a step",
            "pattern = 'swallowed-errors'\n\
             [[fault]]\ndo = 'lose-reply'\non = 'cache.get'\n\
             [[fault]]\ndo = 'lose-request'\non = 'cache.get'\n\
             [[fault]]\ndo = 'fail'\non = 'db.select'\nafter = 'cache.get'\n",
            &["'read 0'", "'update 0'"],
        ),
        (
            "a node that is gone for a while",
            "pattern = 'failover'\n[cache]\nnodes = 2\n\
             [[fault]]\ndo = 'unreachable'\nnodes = [0]\nfrom = '0s'\nuntil = '1s'\n",
            &["'read 0'", "'update 0'"],
        ),
        (
            "a log that is purged",
            "pattern = 'cdc-invalidate'\n[[fault]]\ndo = 'purge-log'\non = 'db.commit'\n",
            &["'read 0', 'update 0'", "'update 0'"],
        ),
        (
            "rows that belong together",
            "pattern = 'cache-aside'\n",
            &["'read 0,1', 'read 0,1'", "'update 0'", "'update 1'"],
        ),
        (
            "a read of two steps",
            "pattern = 'version-in-key'\n",
            &["'read 0', 'read 0'", "'update 0'"],
        ),
        (
            "the order of operations",
            "pattern = 'cache-aside'\n",
            &["'read 0'", "'update 0'", "'read 0'"],
        ),
        (
            "tokens of values that come back",
            "pattern = 'cas-after-read'\n[[fault]]\ndo = 'evict'\non = 'cache.get'\n",
            &["'read 0'", "'update 0'", "'read 0'"],
        ),
    ];
    let program = |(name, head, clients): (&str, &str, &[&str])| {
        let mut text = format!("claim = '-'\n{head}");
        text.push_str("[workload]\nrows = 2\n[explore]\nfaults = 2\nadvances = 2\n");
        for script in clients {
            text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = [{script}]\n"));
        }
        (name.to_owned(), subject(name, &text))
    };
    programs.map(program).into()
}

/// The programs of the hazards, with their own faults, settings and properties.
pub(super) fn of_hazards() -> Vec<(String, Subject)> {
    let files = find_files(Path::new("scenarios/hazards")).unwrap();
    let program = |file: std::path::PathBuf| {
        let name = file.display().to_string();
        let subject = subject(&name, &std::fs::read_to_string(&file).unwrap());
        (name, subject)
    };
    files.into_iter().map(program).filter(|(_, s)| !s.entry.traits.hidden_state).collect()
}

/// What is asked of the programs: little, so that clients stand for one another, or everything.
/// Names of hazards are not asked for.
pub(super) fn asked(programs: &[(String, Subject)]) -> Vec<(String, Subject)> {
    let mut asked = Vec::new();
    for properties in [&[Property::FinalState, Property::Reads][..], &Property::ALL[..]] {
        // Replies that are left unread on a connection are in no name: `Program::can_merge`.
        let can_merge = |subject: &Subject| subject.scenario.cache.on_timeout == OnTimeout::Close;
        for (name, subject) in programs.iter().filter(|(_, subject)| can_merge(subject)) {
            let mut subject = subject.clone();
            subject.name_hazards = false;
            subject.properties = properties.to_vec();
            asked.push((format!("{name}, asked for {properties:?}"), subject));
        }
    }
    asked
}
