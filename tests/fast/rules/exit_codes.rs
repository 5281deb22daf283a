//! Several scenarios end with the worst exit code: rule 29.

use assert_cmd::Command;

use super::program;

/// The exit code of `explore` over these programs, in this order, at so many schedules.
fn exit(programs: &[(&str, String)]) -> i32 {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("staleproof").unwrap();
    command.args(["explore", "--max-schedules", "20"]);
    for (name, text) in programs {
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

/// A program that ends with each code.
fn ending_with(code: i32) -> String {
    let none: &[&str] = &[];
    let one: &[&[&str]] = &[&["read 0"]];
    let asked = "[explore]\nproperty = ['final-state']\n";
    let text = match code {
        0 => program("cache-aside", asked, one),
        1 => program("cache-aside", &format!("{asked}expect = 'violated'\n"), one),
        2 => program("cache-aside", "[explore]\nreaders = 0\nwriters = 0\n", &[none]),
        // More schedules than are allowed.
        3 => program("lease", asked, &[&["read 0", "read 0"], &["update 0", "update 0"]]),
        4 => program("cache-aside", &format!("{asked}mark = 'nowhere'\n"), one),
        other => panic!("no program ends with {other}"),
    };
    match code {
        2 => text.replace("[[workload.group]]\nclients = 1\nscript = []\n", ""),
        _ => text,
    }
}

/// Wrong input > differs > unknown > not tested > as expected, wherever the worse one stands.
#[test]
fn the_worst_of_several_scenarios_counts() {
    let order = [2, 1, 3, 4, 0];
    for (place, worse) in order.iter().enumerate() {
        assert_eq!(exit(&[("alone", ending_with(*worse))]), *worse, "alone");
        for better in &order[place..] {
            let (worst, other) = (("a", ending_with(*worse)), ("b", ending_with(*better)));
            assert_eq!(exit(&[worst.clone(), other.clone()]), *worse, "{worse}, then {better}");
            assert_eq!(exit(&[other, worst]), *worse, "{better}, then {worse}");
        }
    }
}
