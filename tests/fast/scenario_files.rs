//! No text makes the loader panic: shipped files with random damage.

use crate::common;
use proptest::prelude::*;
use staleproof::pattern::Registry;

fn shipped() -> Vec<String> {
    let mut texts: Vec<String> = std::fs::read_dir("scenarios/article")
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    texts.sort();
    texts
}

proptest! {
    #[test]
    fn damaged_files_are_errors_at_worst(
        which in 0..15_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n\u{e9}]{0,3}"), 1..4),
    ) {
        let mut text = shipped()[which].clone();
        for (index, insert) in &cuts {
            let chars: Vec<char> = text.chars().collect();
            let at = index.index(chars.len());
            text = chars[..at].iter().chain(&insert.chars().collect::<Vec<_>>())
                .chain(chars.get(at + 1..).unwrap_or(&[])).collect();
        }
        if let Err(problems) = common::try_scenario(&text, &Registry::built_in()) {
            for problem in problems {
                prop_assert!(!problem.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_an_error_at_worst(text in "\\PC{0,200}") {
        let _ = common::try_scenario(&text, &Registry::built_in());
    }

    #[test]
    fn what_runs_comes_to_rest_whatever_the_workload(
        pattern in prop::sample::select(vec!["no-cache", "cache-aside", "write-through", "write-behind"]),
        clients in 1..6_u32,
        processes in 1..3_u32,
        fault in prop::sample::select(vec![
            "do = 'lose-reply'\non = '*'", "do = 'crash'\non = 'db.write'",
            "do = 'cancel'\non = 'cache.write'\nmoment = 'after'", "do = 'deliver-late'\non = '*'\ndelay = '9ms'",
            "do = 'fail'\non = 'db.*'", "do = 'restart-node'\nevery = '3ms'",
        ]),
        probability in 0.0..0.5_f64,
        seed in any::<u64>(),
    ) {
        let text = format!(
            "claim = '-'\npattern = '{pattern}'\n[workload]\nclients = {clients}\n\
             processes = {processes}\noperations = 20\nrows = 3\n\
             mix = {{ read = 3, update = 2, modify = 1, insert = 1, delete = 1 }}\n\
             [[fault]]\n{fault}\nprobability = {probability}\n"
        );
        let run = common::run_once(&text, seed);
        let ops = run.history.ops.iter().filter(|op| op.id.client().is_ordinary()).count();
        prop_assert_eq!(ops, clients as usize * 20, "every operation is accounted for");
        prop_assert_eq!(run.measure.panics, 0);
        for op in &run.history.ops {
            prop_assert!(op.start <= op.end);
        }
        if pattern == "no-cache" {
            prop_assert_eq!(run.measure.reads.stale, 0);
            prop_assert_eq!(run.measure.reads.phantom, 0);
        }
    }
}

#[test]
fn a_folder_that_leads_back_to_itself_is_searched_once() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    for path in [folder.path().join("b.toml"), inner.join("a.toml"), inner.join("no.txt")] {
        std::fs::write(path, "").unwrap();
    }
    std::os::unix::fs::symlink(folder.path(), inner.join("again")).unwrap();
    let found = staleproof::scenario::find_files(folder.path()).unwrap();
    assert_eq!(found, [folder.path().join("b.toml"), inner.join("a.toml")]);
}
