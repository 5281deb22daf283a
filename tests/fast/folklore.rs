//! What is often said about caches, answered by searching: the answers are pinned, and follow
//! from what the trials come to.

use std::collections::BTreeMap;

use staleproof::explore::Folklore;
use staleproof::pattern::Registry;

/// The answer to each question, and what each trial came to.
#[test]
fn the_folklore_is_answered() {
    let (answers, counterexamples) = Folklore::shipped().answer(&Registry::built_in()).unwrap();
    let word = |answer: &str| answer.split([':', ' ']).next().unwrap().to_owned();
    let said: BTreeMap<&str, String> =
        answers.iter().map(|answer| (answer.id.as_str(), word(&answer.answer))).collect();
    let expected = [
        ("add-lock-as-lease", "no"),
        ("delayed-double-delete", "no"),
        ("delete-before-write", "yes"),
        ("lease-inside-transaction", "no"),
        ("singleflight-own-writes", "no"),
        ("sliding-ttl", "no"),
        ("ttl-bound", "T"),
        ("version-after-eviction", "no"),
    ];
    assert_eq!(said, expected.map(|(id, word)| (id, word.to_owned())).into());
    let plus = answers.iter().find(|answer| answer.id == "ttl-bound").unwrap();
    assert!(plus.answer.starts_with("T plus the fill"), "{}", plus.answer);
    let mut violated = 0;
    for answer in &answers {
        for trial in &answer.trials {
            let name = format!("folklore/{}/{}", answer.id, trial.name);
            assert_ne!(trial.verdict, "unknown", "{name}");
            let is_violated = trial.verdict == "violated";
            assert_eq!(counterexamples.contains_key(&name), is_violated, "{name}");
            violated += usize::from(is_violated);
            // What is there for comparison differs from what decides.
            if !trial.decides {
                let decides = |t: &&staleproof::explore::Tried| t.decides;
                let first = answer.trials.iter().find(decides).unwrap();
                println!("{name}: {} beside {}", trial.verdict, first.verdict);
            }
        }
    }
    assert!(violated >= 10, "{violated}");
}

/// An answer is not written down: with the other pattern in a trial, the other one comes out.
#[test]
fn an_answer_follows_from_the_trials() {
    let mut folklore = Folklore::shipped();
    folklore.question.retain(|question| question.id == "add-lock-as-lease");
    for trial in &mut folklore.question[0].trial {
        trial.scenario = trial.scenario.replace("pattern = \"add-lock\"", "pattern = \"lease\"");
    }
    let (answers, counterexamples) = folklore.answer(&Registry::built_in()).unwrap();
    assert!(answers[0].answer.starts_with("yes"), "{}", answers[0].answer);
    assert!(counterexamples.is_empty());
}
