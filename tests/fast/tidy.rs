//! Style as a test: lengths, heads, who may depend on whom, what must not be called, and that no
//! file of tests is left out.

use std::path::{Path, PathBuf};

/// Every Rust file below a folder, but what is built there.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn complain(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file's text without its unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

#[test]
fn files_and_lines_are_short_and_every_module_has_a_head() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let lines = code(&text).lines().count();
        if lines > 500 {
            wrong.push(format!("{}: {lines} lines; 500 are the limit", path.display()));
        }
        if !text.starts_with("//!") && !path.ends_with("main.rs") {
            wrong.push(format!("{}: no module head", path.display()));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 100 {
                wrong.push(format!("{}:{}: longer than 100", path.display(), number + 1));
            }
        }
    }
    complain(&wrong);
}

#[test]
fn functions_are_at_most_70_lines() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let mut open: Option<(usize, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = line.contains("fn ") && !line.trim_start().starts_with("//");
            if open.is_none() && starts && !line.trim_end().ends_with(';') {
                open = Some((number, indent));
            }
            if let Some((start, depth)) = open
                && line.trim_start().starts_with('}')
                && indent == depth
            {
                if number - start > 70 {
                    wrong.push(format!(
                        "{}:{}: {} lines",
                        path.display(),
                        start + 1,
                        number - start
                    ));
                }
                open = None;
            }
        }
    }
    complain(&wrong);
}

/// Who may use what: DESIGN's table. A layer may use those before it.
const LAYERS: [(&str, &[&str]); 9] = [
    ("step", &["operation"]),
    ("entity", &["operation", "seed", "step"]),
    ("history", &["entity", "operation", "parallel", "step", "time"]),
    ("pattern", &["entity", "operation", "seed", "step", "time"]),
    ("plan", &["entity", "operation", "scenario", "seed", "step", "time"]),
    ("backend", &["operation", "step", "time"]),
    ("check", &["entity", "history", "operation", "parallel", "step", "time"]),
    ("metric", &["check", "scenario"]),
    ("report", &["explore", "run", "scenario", "time"]),
];

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        for (path, text) in sources(&format!("src/{layer}")) {
            for line in code(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
                let uses = line.split("crate::").skip(1);
                for used in uses {
                    let module: String =
                        used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    let own = module == layer || module.is_empty();
                    if !own && !allowed.contains(&module.as_str()) {
                        wrong
                            .push(format!("{}: `{layer}` must not use `{module}`", path.display()));
                    }
                }
            }
        }
    }
    for (path, text) in sources("src") {
        let outside = !path.starts_with("src/cli") && !path.ends_with("lib.rs");
        if outside && code(&text).contains("crate::cli") {
            wrong.push(format!("{}: nobody imports `cli`", path.display()));
        }
    }
    complain(&wrong);
}

/// Ideas with one home: (idea, the file or folder that is its home, what only stands there).
#[rustfmt::skip]
const HOMES: &[(&str, &str, &[&str])] = &[
    ("writing a history's lines", "src/history/file/writer.rs", &[r##","outcome":""#"##, r##","effect":""#"##, r##","phase":"#"##, r##","initial":{"#"##, "\" of another row\"", "Outcome::Failed => \"fail\""]),
    ("a metric's name, kind and formula", "src/metric/", &["\"p_stale\", Share", "\"stale_reads\", Count", "part as f64 / of as f64", "(hits + "]),
];

#[test]
fn one_home() {
    let sources = sources("src");
    let mut wrong = Vec::new();
    for (idea, home, markers) in HOMES {
        for marker in *markers {
            let has = |text: &str| {
                let lines = code(text).lines().map(str::trim_start);
                lines.filter(|line| !line.starts_with("//")).any(|line| line.contains(marker))
            };
            let found: Vec<&Path> = sources
                .iter()
                .filter(|(path, text)| !path.ends_with("tests.rs") && has(text))
                .map(|(path, _)| path.as_path())
                .collect();
            if !found.iter().any(|path| path.starts_with(home)) {
                wrong.push(format!("{home}: `{marker}` is gone, which shows {idea}; name another"));
            }
            for path in found.into_iter().filter(|path| !path.starts_with(home)) {
                wrong.push(format!("{}: {idea} (`{marker}`) belongs into {home}", path.display()));
            }
        }
    }
    complain(&wrong);
}

#[test]
fn nothing_that_decides_knows_the_wall_clock_or_chance() {
    let banned =
        ["Instant::now", "SystemTime", "rand::rng()", "thread::", "HashSet<", "HashMap::new"];
    let mut wrong = Vec::new();
    for folder in ["plan", "schedule", "check", "entity", "history", "pattern", "scenario"] {
        for (path, text) in sources(&format!("src/{folder}")) {
            for name in banned {
                let text = code(&text).replace("FxHashSet<", "");
                if text.contains(name) {
                    wrong.push(format!("{}: {name}", path.display()));
                }
            }
        }
    }
    complain(&wrong);
}

#[test]
fn nothing_is_left_over() {
    let leftovers = [
        concat!("todo", "!"),
        concat!("unimplemented", "!"),
        concat!("TO", "DO"),
        concat!("dbg", "!"),
    ];
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (path, text) in sources(folder) {
            for leftover in leftovers {
                if text.contains(leftover) {
                    wrong.push(format!("{}: {leftover}", path.display()));
                }
            }
        }
    }
    complain(&wrong);
    assert!(Path::new("LICENSE-MIT").exists() && Path::new("LICENSE-APACHE").exists());
}

/// A file that no `main.rs` or `mod.rs` names is never compiled, and its tests never run.
#[test]
fn every_file_of_tests_is_part_of_a_binary() {
    // Packages of their own, and what several binaries name by its path.
    let elsewhere = ["tests/clients", "tests/downstream", "tests/common"];
    let mut wrong = Vec::new();
    for (path, _) in sources("tests") {
        if path.ends_with("main.rs") || elsewhere.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let module = if path.ends_with("mod.rs") { path.parent().unwrap() } else { &path };
        let line = format!("mod {};", module.file_stem().unwrap().display());
        let names_it = |head: &str| {
            let text = std::fs::read_to_string(module.with_file_name(head)).unwrap_or_default();
            text.lines().any(|other| other.trim_start_matches("pub ") == line)
        };
        if !names_it("main.rs") && !names_it("mod.rs") {
            let path = path.display();
            wrong.push(format!("{path}: no `{line}` in a main.rs beside it, see CONTRIBUTING.md"));
        }
    }
    complain(&wrong);
}

/// What reads no file finds nothing wrong.
#[test]
fn as_many_files_are_read_as_ever() {
    let read: usize = ["src", "tests", "benches"].map(|folder| sources(folder).len()).iter().sum();
    // For the table that ends `.ci/run`.
    let told = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tidy-files");
    std::fs::write(told, read.to_string()).unwrap();
    let floors = std::fs::read_to_string("tests/floors.txt").unwrap();
    let floor = floors.lines().find_map(|line| line.strip_suffix(" files")).unwrap();
    let floor: usize = floor.trim().parse().unwrap();
    assert!(
        read >= floor,
        "{read} files were read, and their floor in tests/floors.txt is {floor}"
    );
}
