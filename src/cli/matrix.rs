//! `staleproof matrix`: every strategy under every hazard.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, known, metric_specs, print};
use crate::explore::{Confirmed, Folklore, HazardScenario, Matrix, matrix};
use crate::hazard::shipped::SHIPPED;
use crate::pattern::{Entry, Registry};
use crate::report::matrix as page;
use crate::scenario::{self, Problem, Scenario};

#[derive(Args)]
#[command(after_help = "Examples:
  staleproof matrix                              write reports/matrix.{md,json,html}
  staleproof matrix --check                      compare with what is there, write nothing
  staleproof matrix --compare cache-aside,lease  which hazards a change closes, and opens")]
pub(super) struct Arguments {
    /// A folder of hazards' scenarios, instead of those in the program
    #[arg(long)]
    hazards: Option<PathBuf>,
    /// Where the matrix is written
    #[arg(long, default_value = "reports")]
    out: PathBuf,
    /// Compare with what is there instead of writing; exit 1 when it differs
    #[arg(long)]
    check: bool,
    /// Only these hazards, into another folder than the whole matrix or with --compare
    #[arg(long, value_delimiter = ',', conflicts_with = "check")]
    only: Vec<String>,
    /// Compare two strategies hazard by hazard, and write nothing
    #[arg(long, value_delimiter = ',', num_args = 1, value_name = "ONE,OTHER")]
    compare: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let is_part = !arguments.only.is_empty() && arguments.compare.is_empty();
    if is_part && arguments.out == Path::new("reports") {
        complain!("--only would write a part over the whole matrix; choose another --out");
        return Exit::WrongInput;
    }
    let hazards = match load(arguments, registry) {
        Ok(hazards) => hazards,
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return Exit::WrongInput;
        }
    };
    let mut strategies: Vec<&Entry> =
        registry.patterns().iter().filter(|entry| !entry.flawed).collect();
    if !arguments.compare.is_empty() {
        strategies.retain(|entry| arguments.compare.contains(&entry.name));
        if strategies.len() != 2 || arguments.compare.len() != 2 {
            complain!("--compare takes two different strategies; see `staleproof list patterns`");
            return Exit::WrongInput;
        }
    }
    let (mut matrix, mut counterexamples) = match matrix(&hazards, registry, &strategies) {
        Ok(filled) => filled,
        Err(problem) => {
            complain!("{problem}");
            return Exit::WrongInput;
        }
    };
    if let [one, other] = &arguments.compare[..] {
        return print(&compared(&matrix, one, other));
    }
    if arguments.only.is_empty() {
        match Folklore::shipped().answer(registry) {
            Ok((answers, schedules)) => {
                matrix.folklore = answers;
                counterexamples.extend(schedules);
            }
            Err(problem) => {
                complain!("{problem}");
                return Exit::WrongInput;
            }
        }
    }
    let lines: Vec<String> = counterexamples
        .iter()
        .map(|(name, example)| format!("\"{name}\":{}", example.to_line()))
        .collect();
    let json = serde_json::to_string_pretty(&matrix).expect("plain data can be written");
    let confirmed = match Confirmed::load(&arguments.out.join("confirmed.json")) {
        Ok(confirmed) => confirmed,
        Err(problem) => {
            complain!("{problem}");
            return Exit::WrongInput;
        }
    };
    let files = [
        ("matrix.md", page::markdown(&matrix, &counterexamples, &confirmed)),
        ("matrix.json", format!("{json}\n")),
        ("matrix.html", page::html(&matrix, &counterexamples, &confirmed)),
        ("counterexamples.json", format!("{{\n{}\n}}\n", lines.join(",\n"))),
    ];
    match arguments.check {
        true => check(&arguments.out, &files),
        false => write(arguments, &files, &matrix),
    }
}

fn load(arguments: &Arguments, registry: &Registry) -> Result<Vec<HazardScenario>, Vec<String>> {
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let mut hazards = Vec::new();
    let mut wrong = Vec::new();
    let wanted = |hazard: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| only == hazard)
    };
    let mut take = |hazard: &str, scenario: Result<Scenario, Vec<Problem>>| match scenario {
        Ok(scenario) => hazards.push(HazardScenario { hazard: hazard.to_owned(), scenario }),
        Err(problems) => wrong.extend(problems.iter().map(ToString::to_string)),
    };
    match &arguments.hazards {
        None => {
            for (hazard, text) in SHIPPED.iter().filter(|(hazard, _)| wanted(hazard)) {
                let path = format!("scenarios/hazards/{hazard}.toml");
                take(hazard, scenario::parse(path.as_ref(), text, &known));
            }
        }
        Some(folder) => {
            for file in scenario::find_files(folder).map_err(|problem| vec![problem.to_string()])? {
                let hazard = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if wanted(&hazard) {
                    take(&hazard, scenario::load(&file, &known));
                }
            }
        }
    }
    for name in &arguments.only {
        if !hazards.iter().any(|hazard| hazard.hazard == *name) && wrong.is_empty() {
            wrong.push(format!("there is no scenario for the hazard `{name}`"));
        }
    }
    if wrong.is_empty() { Ok(hazards) } else { Err(wrong) }
}

fn compared(matrix: &Matrix, one: &str, other: &str) -> String {
    let difference = matrix.difference(one, other);
    let list = |names: &[&str]| match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    let mut text = format!(
        "from {one} to {other}, within the bounds of {} hazards\n  closes  {}\n  opens   {}\n",
        matrix.hazards.len(),
        list(&difference.closed),
        list(&difference.opened)
    );
    for (what, names) in [("evades  ", &difference.evaded), ("unknown ", &difference.undecided)] {
        if !names.is_empty() {
            text.push_str(&format!("  {what}{}\n", names.join(", ")));
        }
    }
    if !difference.evaded.is_empty() {
        text.push_str("evaded: it takes no step that the hazard's fault strikes\n");
    }
    text
}

fn check(folder: &Path, files: &[(&str, String)]) -> Exit {
    let mut exit = Exit::AsExpected;
    for (name, text) in files {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(known) if known == *text => {}
            Ok(_) => {
                complain!("{}: differs; run `staleproof matrix` and look at it", path.display());
                exit = exit.max(Exit::Differs);
            }
            Err(error) => {
                complain!("{}: {error}", path.display());
                exit = exit.max(Exit::WrongInput);
            }
        }
    }
    exit
}

fn write(arguments: &Arguments, files: &[(&str, String)], matrix: &Matrix) -> Exit {
    let folder = &arguments.out;
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
    });
    if let Err(error) = written {
        complain!("{}: cannot be written: {error}; choose another --out", folder.display());
        return Exit::Environment;
    }
    let mut text = format!(
        "{} hazards × {} strategies, written to {}\n",
        matrix.hazards.len(),
        matrix.strategies.len(),
        folder.display()
    );
    for (verdict, count) in matrix.counts() {
        text.push_str(&format!("  {:<15} {count}\n", verdict.name()));
    }
    for row in &matrix.hazards {
        if row.own.verdict != crate::explore::CellVerdict::Violated {
            text.push_str(&format!(
                "  {} is not shown by its own scenario: {}\n",
                row.hazard,
                row.own.verdict.name()
            ));
        }
    }
    print(&text)
}
