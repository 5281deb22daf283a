//! Faults of single steps and of the world, where every schedule is searched and where many are
//! drawn: rule 11.

use std::collections::BTreeSet;

use staleproof::pattern::Registry;

use super::{REDUCED, WHOLE, explored, hunted, program, subject};

/// A fault, the program that it strikes, and all that comes of it.
struct Case {
    fault: &'static str,
    pattern: &'static str,
    script: &'static [&'static str],
    found: &'static [&'static str],
}

const fn case(
    fault: &'static str,
    pattern: &'static str,
    script: &'static [&'static str],
    found: &'static [&'static str],
) -> Case {
    Case { fault, pattern, script, found }
}

const READ_UPDATE: &[&str] = &["read 0", "update 0"];

const MISREPORTED: &str = "misreported-failure product:0 (misreported-failure), transient";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Not executed, and the caller knows.
    case("do = 'refuse'\non = 'cache.delete'", "cache-aside", READ_UPDATE,
        &[MISREPORTED, "stale product:0 (delete-fails), bounded"]),
    case("do = 'fail'\non = 'db.update'", "cache-aside", READ_UPDATE, &[]),
    case("do = 'fail'\non = 'cache.delete'", "cache-aside", READ_UPDATE,
        &[MISREPORTED, "stale product:0 (delete-fails), bounded"]),
    // Not executed, and the caller does not know.
    case("do = 'lose-request'\non = 'cache.delete'", "cache-aside", READ_UPDATE,
        &[MISREPORTED, "stale product:0 (delete-fails), bounded"]),
    case("do = 'lose-request'\non = 'db.update'", "cache-aside", READ_UPDATE, &[]),
    // Executed, and the reply withheld.
    case("do = 'lose-reply'\non = 'cache.delete'", "cache-aside", READ_UPDATE,
        &[MISREPORTED]),
    case("do = 'lose-reply'\non = 'db.commit'", "cache-aside", READ_UPDATE,
        &[MISREPORTED, "stale product:0 (lost-reply-db), bounded"]),
    // Executed later.
    case("do = 'deliver-late'\non = 'cache.set'", "write-through", &["update 0", "update 0"],
        &[MISREPORTED, "stale product:0 (delayed-request), bounded"]),
    // The operation ends, or its process.
    case("do = 'cancel'\non = 'db.update'", "cache-aside", READ_UPDATE,
        &["stale product:0 (crash-between), bounded"]),
    // A process also dies with a step that it had sent.
    case("do = 'crash'\non = 'db.update'", "cache-aside", READ_UPDATE,
        &["stale product:0 (crash-between), bounded", "stale product:0 (delete-fails), bounded"]),
    // Narrowed to what there is none of.
    case("do = 'refuse'\non = 'cache.delete'\nop = 'read'", "cache-aside", READ_UPDATE, &[]),
    case("do = 'refuse'\non = 'cache.write'\nafter = 'db.commit'", "read-through", &["read 0"], &[]),
    // Lasting ones, and those of the world.
    case("do = 'unreachable'\nfrom = '1ms'\nuntil = '2ms'", "cache-aside", READ_UPDATE,
        &[MISREPORTED, "stale product:0 (delete-fails), bounded"]),
    case("do = 'bypass-update'\nat = '1ms'", "cache-aside", &["read 0"],
        &["stale product:0 (bypass-write), bounded"]),
    case("do = 'bypass-delete'\nat = '1ms'", "cache-aside", &["read 0"],
        &["ghost product:0 (bypass-write), bounded"]),
    case("do = 'evict'\nat = '1ms'", "cache-aside", READ_UPDATE, &[]),
];

/// Each kind of fault does the same in a search of all schedules, merged or not, and in a hunt.
#[test]
fn faults_do_what_they_say_in_explorations_and_hunts() {
    let registry = Registry::built_in();
    let mut wrong = Vec::new();
    for Case { fault, pattern, script, found } in CASES {
        let asked = "[explore]\nproperty = ['final-state', 'reports']\n";
        let text = program(pattern, &format!("{asked}[[fault]]\n{fault}\n"), &[script]);
        let mut subject = subject(&registry, &text);
        subject.name_hazards = true;
        let expected: BTreeSet<String> = found.iter().map(|text| (*text).to_owned()).collect();
        let told = |findings: BTreeSet<_>| -> BTreeSet<String> {
            findings.iter().map(ToString::to_string).collect()
        };
        let all = [explored(&subject, REDUCED), explored(&subject, WHOLE), hunted(&subject, 100)];
        for (who, found) in ["reduced", "whole", "hunt"].into_iter().zip(all.map(told)) {
            if found != expected {
                wrong.push(format!("{fault}, {pattern}, {who}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// So many faults strike in one schedule and no more.
#[test]
fn no_more_faults_strike_than_the_bound_says() {
    let registry = Registry::built_in();
    let found = |faults: u32| {
        let asked = format!("[explore]\nfaults = {faults}\nproperty = ['final-state']\n");
        let asked = format!("[cache]\nretries = 1\n{asked}");
        let fault = "[[fault]]\ndo = 'lose-request'\non = 'cache.delete'\n";
        let clients: [&[&str]; 1] = [READ_UPDATE];
        let text = program("cache-aside", &format!("{asked}{fault}"), &clients);
        let mut subject = subject(&registry, &text);
        subject.name_hazards = true;
        let found = explored(&subject, REDUCED);
        assert_eq!(found, explored(&subject, WHOLE));
        assert_eq!(found, hunted(&subject, 100));
        found
    };
    // A delete that is lost is sent again, once.
    assert!(found(1).is_empty(), "{:?}", found(1));
    assert!(!found(2).is_empty());
}
