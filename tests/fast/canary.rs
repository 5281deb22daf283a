//! The canary: a scenario that is known to be wrong fails, under every command that judges.

use assert_cmd::Command;

fn exit_code(command: &str, more: &[&str]) -> Option<i32> {
    let mut staleproof = Command::cargo_bin("staleproof").unwrap();
    let done = staleproof.arg(command).arg("tests/canary.toml").args(more).output().unwrap();
    done.status.code()
}

#[test]
fn the_canary_dies_under_every_command() {
    for command in ["run", "explore", "hunt"] {
        assert_eq!(exit_code(command, &[]), Some(1), "{command}");
    }
}

/// The scenario fails for the pattern's sake, not for its own.
#[test]
fn the_canary_lives_where_nothing_is_wrong() {
    assert_eq!(exit_code("explore", &["--pattern", "no-cache"]), Some(0));
    assert_eq!(exit_code("hunt", &["--pattern", "no-cache", "--seeds", "50"]), Some(0));
}
