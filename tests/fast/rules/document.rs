//! `docs/soundness.md` is true: what it names exists, and each rule has its lines.

use std::path::Path;

/// The lines of a rule that begin with this word, continued lines joined.
fn field<'a>(rule: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = rule.split_once(&format!("\n- {name}: "))?;
    Some(rest.split("\n- ").next().unwrap_or(rest).split("\n#").next().unwrap_or(rest).trim())
}

/// What stands between backticks and names something in a file: `path::name`.
fn places(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.split_once("::").filter(|(path, _)| path.ends_with(".rs")))
}

fn exists(path: &str, name: &str, kinds: &[&str]) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let begins = |kind: &str| {
        let item = format!("{kind} {name}");
        let after = |at: usize| text[at + item.len()..].chars().next();
        text.match_indices(&item)
            .any(|(at, _)| after(at).is_some_and(|c| !c.is_alphanumeric() && c != '_'))
    };
    kinds.iter().any(|kind| begins(kind))
}

fn is_test(path: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let head: Vec<&str> = text[..at].lines().rev().take(4).collect();
    head.iter().any(|line| line.trim() == "#[test]")
}

#[test]
fn every_rule_has_its_code_and_its_test() {
    let text = std::fs::read_to_string("docs/soundness.md").unwrap();
    let mut wrong = Vec::new();
    let rules: Vec<&str> = text.split("\n### ").skip(1).collect();
    for (place, rule) in rules.iter().enumerate() {
        let title = rule.lines().next().unwrap_or_default();
        if !title.starts_with(&format!("{}. ", place + 1)) {
            wrong.push(format!("`{title}` is rule number {}", place + 1));
        }
        let [code, test, unnoticed] = ["code", "test", "unnoticed"].map(|name| field(rule, name));
        if code.is_none_or(|code| places(code).next().is_none()) || unnoticed.is_none() {
            wrong.push(format!("{title}: no `code`, or no `unnoticed`"));
        }
        let named = test.map_or(0, |test| places(test).count());
        if named == 0 && test != Some("none yet") {
            wrong.push(format!("{title}: no `test`"));
        }
        for (path, name) in test.into_iter().flat_map(places) {
            if !is_test(path, name) {
                wrong.push(format!("{title}: {path} has no test `{name}`"));
            }
        }
    }
    for (path, name) in places(&text) {
        if !exists(path, name, &["fn", "struct", "enum"]) {
            wrong.push(format!("{path} has no `{name}`"));
        }
    }
    let paths = text.split('`').skip(1).step_by(2).filter(|quoted| quoted.ends_with(".rs"));
    for path in paths.filter(|path| !Path::new(path).exists()) {
        wrong.push(format!("there is no {path}"));
    }
    assert_eq!(rules.len(), 35, "rules are numbered as they stand");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
