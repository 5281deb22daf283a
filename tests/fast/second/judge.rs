//! What is wrong with the end of a schedule, and a program as a scenario file.

use std::collections::BTreeSet;

use super::program::{Do, End, Explored, Fault, Program, Strategy, Told, Verb};

/// A kind, a row, and for how long: by the tool's names.
pub type Finding = (&'static str, usize, &'static str);

pub const PROPERTIES: [&str; 4] = ["final-state", "reads", "sessions", "reports"];

/// The property that a finding breaks.
pub fn property_of(finding: &Finding) -> &'static str {
    match finding.0 {
        "stale" | "ghost" | "lost-update" => "final-state",
        "stale-read" => "reads",
        "misreported-failure" => "reports",
        _ => "sessions",
    }
}

/// Everything that some schedule comes to.
pub fn findings(program: &Program, explored: &Explored) -> BTreeSet<Finding> {
    let mut found = BTreeSet::new();
    explored.ends.iter().for_each(|end| judge(program, end, &mut found));
    found
}

fn judge(program: &Program, end: &End, found: &mut BTreeSet<Finding>) {
    let entry_lasts = if program.ttl == 0 { "permanent" } else { "bounded" };
    for (row, (commits, gone)) in end.rows.iter().enumerate() {
        match end.entries[row] {
            Some(_) if *gone => drop(found.insert(("ghost", row, entry_lasts))),
            Some(version) if version < *commits => {
                found.insert(("stale", row, entry_lasts));
            }
            _ => {}
        }
    }
    for (client, operation, row) in &end.unseen {
        // One operation has one finding, and a failure that is none comes first.
        if !matches!(end.told[*client][*operation], Told::Failed { .. }) {
            found.insert(("lost-update", *row, "lost"));
        }
    }
    for told in &end.told {
        for (place, what) in told.iter().enumerate() {
            match *what {
                Told::Failed { row, version: Some(_) } => {
                    found.insert(("misreported-failure", row, "transient"));
                }
                Told::Read { row, found: Some(version), known } => {
                    if version < known {
                        found.insert(("stale-read", row, "transient"));
                    }
                    sessions(&told[..place], row, version, found);
                }
                _ => {}
            }
        }
    }
}

/// A client reads what is older than what it wrote, or read, before.
fn sessions(before: &[Told], row: usize, version: u8, found: &mut BTreeSet<Finding>) {
    for told in before {
        match *told {
            Told::Wrote { row: of, version: Some(own) } if of == row && version < own => {
                found.insert(("read-your-writes", row, "transient"));
            }
            Told::Read { row: of, found: Some(seen), .. } if of == row && version < seen => {
                found.insert(("monotonic-reads", row, "transient"));
            }
            _ => {}
        }
    }
}

/// The program as the tool reads it.
pub fn scenario(program: &Program) -> String {
    let pattern = match program.strategy {
        Strategy::CacheAside => "cache-aside",
        Strategy::WriteThrough => "write-through",
        Strategy::DeleteBeforeWrite => "delete-before-write",
        Strategy::Lease => "lease",
        Strategy::VersionedSet => "versioned-set",
        Strategy::ReadThrough => "read-through",
        Strategy::DelayedDoubleDelete => "delayed-double-delete",
        Strategy::ItemLock => unreachable!("the tool has no such strategy"),
    };
    let mut text = format!("claim = '-'\npattern = '{pattern}'\n");
    if program.strategy == Strategy::Lease {
        text.push_str(&format!("[settings]\nlease-seconds = {}\n", program.lease_ttl));
    }
    let Program { rows, processes, ttl, cache_timeout, database_timeout, .. } = program;
    text.push_str(&format!("[workload]\nrows = {rows}\nprocesses = {processes}\n"));
    for client in &program.clients {
        let asks = client.iter().map(|ask| {
            let verb = match ask.verb {
                Verb::Read => "read",
                Verb::Update => "update",
                Verb::Modify => "modify",
                Verb::Delete => "delete",
            };
            match ask.pause {
                0 => format!("{verb} {}", ask.row),
                pause => format!("{verb} {} after {pause}ms", ask.row),
            }
        });
        let asks: Vec<String> = asks.collect();
        text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = {asks:?}\n"));
    }
    text.push_str(&format!("[cache]\nttl-seconds = {ttl}\ntimeout = '{cache_timeout}ms'\n"));
    text.push_str(&format!("[database]\ntimeout = '{database_timeout}ms'\n"));
    if let Some(fault) = &program.fault {
        text.push_str(&match fault {
            Fault::Crash { .. } => "[[fault]]\ndo = 'crash'\non = '*'\n".to_owned(),
            Fault::LoseReply(steps) => {
                format!("[[fault]]\ndo = 'lose-reply'\non = '{}'\n", name_of(steps))
            }
        });
    }
    let (faults, pauses) = (u8::from(program.fault.is_some()), program.pauses);
    text + &format!(
        "[explore]\nfaults = {faults}\nadvances = {pauses}\nproperty = {PROPERTIES:?}\n"
    )
}

/// Steps whose replies are lost, by the tool's name for them.
pub const STEPS: [(&str, &[Do]); 4] = [
    ("cache.set", &[Do::Set]),
    ("cache.delete", &[Do::Delete]),
    ("cache.write", &[Do::Set, Do::Add, Do::Cas, Do::Delete, Do::Vivify, Do::Fill, Do::Unstub]),
    ("db.commit", &[Do::Write]),
];

fn name_of(steps: &[Do]) -> &'static str {
    STEPS.iter().find(|(_, of)| *of == steps).expect("it is one of these").0
}
