//! `staleproof check`: what goes in, what comes out, and the exit codes.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

fn check() -> Command {
    let mut command = Command::cargo_bin("staleproof").unwrap();
    command.arg("check");
    command
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn op(client: u32, op: &str, key: &str, value: &str, start: u64, end: u64) -> String {
    format!(
        "{{\"client\":{client},\"op\":\"{op}\",\"key\":\"{key}\",\"value\":{value},\
         \"start\":{start},\"end\":{end},\"outcome\":\"ok\"}}\n"
    )
}

/// What `--json` with these arguments says of a history.
fn json(arguments: &[&str], history: String) -> serde_json::Value {
    let output = check().arg("--json").args(arguments).write_stdin(history).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stale() -> String {
    [
        op(1, "write", "product:1", "\"v1\"", 1_000_000, 2_000_000),
        op(2, "write", "product:1", "\"v2\"", 3_000_000, 9_100_000),
        op(3, "read", "product:1", "\"v1\"", 12_400_000, 13_000_000),
    ]
    .concat()
}

fn fresh() -> String {
    stale().replace("\"v1\",\"start\":12400000", "\"v2\",\"start\":12400000")
}

#[test]
fn a_stale_read_is_told_in_one_sentence() {
    check()
        .write_stdin(stale())
        .assert()
        .code(1)
        .stdout(contains("client 3 read v1 at 12.4ms, though v2 had been acknowledged at 9.1ms"))
        .stdout(contains("c2 write v2"));
}

#[test]
fn what_is_linearizable_is_said_to_be() {
    check().write_stdin(fresh()).assert().code(0).stdout(contains("linearizable"));
    let order = "c1 write v1\n    c2 write v2\n    c3 read v2";
    check().arg("--linearization").write_stdin(fresh()).assert().code(0).stdout(contains(order));
}

#[test]
fn an_empty_history_is_no_pass() {
    for text in ["", "\n", "{\"initial\":{}}\n"] {
        check().write_stdin(text).assert().code(4).stdout(contains("no operations"));
    }
}

#[test]
fn the_values_at_the_start_stand_in_one_line_anywhere() {
    let initial = r#"{"initial":{"k":"v1"}}"#;
    let read = op(0, "read", "k", "\"v1\"", 5, 9);
    for follow in [&["-"][..], &["-", "--follow"]] {
        let judged = |text: &str| check().args(follow).write_stdin(text.to_owned()).assert();
        for before in ["", "\n", "\r\n \n", "\u{feff}"] {
            judged(&format!("{before}{initial}\n{read}"))
                .success()
                .stdout(contains("1 operation on 1 key"));
        }
        judged(&format!("{initial}\n{initial}\n{read}")).code(2).stderr(contains(":2: "));
    }
    let late = format!("{read}{initial}\n");
    check().write_stdin(late.clone()).assert().success();
    check().arg("--follow").write_stdin(late).assert().code(2).stderr(contains("the first line"));
}

#[test]
fn wrong_lines_are_named_or_skipped() {
    let text = stale() + "{\"client\":0,\"op\":\"re";
    check()
        .write_stdin(text.clone())
        .assert()
        .code(2)
        .stderr(contains("standard input:4: the line is cut off").and(contains("--lenient")));
    check().arg("--lenient").write_stdin(text).assert().code(1).stdout(contains("1 line skipped"));
    check().arg("nowhere.jsonl").assert().code(2).stderr(contains("no such file"));
}

#[test]
fn folders_are_searched_and_the_worst_counts() {
    let folder = tempfile::tempdir().unwrap();
    check().arg(folder.path()).assert().code(2).stderr(contains("no histories in this folder"));
    file(folder.path(), "a.jsonl", &fresh());
    std::fs::create_dir(folder.path().join("deeper")).unwrap();
    file(&folder.path().join("deeper"), "b.ndjson", &fresh());
    file(folder.path(), "notes.txt", "no history");
    check().arg(folder.path()).assert().code(0);
    file(&folder.path().join("deeper"), "c.jsonl", &stale());
    check()
        .arg(folder.path())
        .assert()
        .code(1)
        .stdout(contains("a.jsonl: 3").and(contains("b.ndjson: 3")).and(contains("c.jsonl: 3")));
    file(folder.path(), "d.jsonl", "nonsense\n");
    check().arg(folder.path()).assert().code(2).stdout(contains("c.jsonl: 3"));
}

#[test]
fn the_most_telling_violation_is_shown_and_all_on_demand() {
    let longer = [
        op(1, "write", "l", "\"a\"", 0, 10),
        op(2, "read", "l", "\"a\"", 20, 30),
        op(3, "write", "l", "\"b\"", 0, 11),
        op(4, "read", "l", "\"b\"", 20, 30),
        op(1, "read", "l", "\"a\"", 40_000_000, 41_000_000),
        op(2, "read", "l", "\"b\"", 50_000_000, 51_000_000),
    ]
    .concat();
    let text = longer + &stale();
    let one = contains("product:1: client 3").and(contains("1 more key is violated"));
    check().write_stdin(text.clone()).assert().code(1).stdout(one);
    let all = contains("product:1: client 3").and(contains("l: client"));
    check().arg("--all").write_stdin(text.clone()).assert().code(1).stdout(all);
    let output = check().args(["--all", "--json"]).write_stdin(text).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["violated_keys"], 2);
    assert_eq!(json["violations"][0]["operations"][2]["value"], "v1");
    assert_eq!(json["metrics"]["linearizable"], "violated");
}

#[test]
fn expectations_replace_the_verdict() {
    let expect = |what: &str, text: String| {
        let mut command = check();
        command.args(["--expect", what]).write_stdin(text);
        command.assert()
    };
    expect("linearizable = violated", stale()).code(0).stdout(contains("met"));
    expect("linearizable = violated", fresh()).code(1).stdout(contains("not met"));
    expect("linearizable = true", fresh()).code(0);
    expect("operations >= 3", stale()).code(0);
    expect("keys > 1", stale()).code(1);
    expect("linearisable = holds", stale()).code(2).stderr(contains("there is no metric"));
    expect("keys", stale()).code(2).stderr(contains("write a metric and what it must be"));
}

#[test]
fn a_limit_that_is_reached_is_unknown() {
    let mut text = String::new();
    for client in 0..12 {
        let (written, read) = (format!("\"{}\"", client % 4), format!("\"{}\"", client % 2));
        text.push_str(&op(client, "write", "k", &written, 0, 1000));
        let start = 101 + 10 * u64::from(client);
        text.push_str(&op(12 + client, "read", "k", &read, start, start + 4));
    }
    check()
        .args(["--limit", "5"])
        .write_stdin(text.clone())
        .assert()
        .code(3)
        .stdout(contains("undecided after").and(contains("raise --limit")));
    check().write_stdin(text).assert().code(1);
}

#[test]
fn staleness_and_sessions_are_measured_on_demand() {
    let measured = contains("smallest delta       3.3ms")
        .and(contains("read-your-writes     not tested"))
        .and(contains("durability           violated in 1 of 2"));
    check().arg("--measure").write_stdin(stale()).assert().code(1).stdout(measured);
    for (expectation, code) in [
        ("stale_reads = 1", 0),
        ("max_read_staleness <= 3.3ms", 0),
        ("max_read_staleness < 3.3ms", 1),
        ("delta <= 3ms", 1),
        ("p_stale <= 50%", 1),
        ("monotonic_reads = holds", 4),
        ("lost_updates = 0", 4),
    ] {
        check().args(["--expect", expectation]).write_stdin(stale()).assert().code(code);
    }
}

#[test]
fn times_reach_to_both_ends_of_64_bits() {
    for (write, read) in [
        ("\"start\":-9223372036854775806,\"end\":-9223372036854775805", "9223372036854775807"),
        ("\"start\":9000000000000000000,\"end\":9000000000000000001", "18446744073709551615"),
    ] {
        let text = format!(
            "{{\"client\":0,\"op\":\"write\",\"key\":\"k\",\"value\":\"v\",{write},\
             \"outcome\":\"ok\"}}\n\
             {{\"client\":1,\"op\":\"read\",\"key\":\"k\",\"value\":VALUE,\"start\":{read},\
             \"end\":{read},\"outcome\":\"ok\"}}\n"
        );
        check().write_stdin(text.replace("VALUE", "\"v\"")).assert().code(0);
        let times = format!("\"end\": {read}");
        let stale = text.replace("VALUE", "null");
        check().arg("--json").write_stdin(stale).assert().code(1).stdout(contains(times));
    }
}

#[test]
fn what_is_compressed_with_gzip_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl.gz");
    std::fs::write(&path, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).unwrap();
    check().arg(path).assert().code(2).stderr(contains("zcat FILE | staleproof check -"));
}

/// The history was written by hand: its versions say that what was there at the start came
/// after the write, its intervals that it was read long after that write had ended.
#[test]
fn versions_that_contradict_the_intervals_are_reported_as_a_bug() {
    let version = |line: String, version: u32| {
        line.replace("\"outcome\"", &format!("\"version\":{version},\"outcome\""))
    };
    let history = |read: u32| {
        "{\"initial\":{\"k\":\"v0\"}}\n".to_owned()
            + &version(op(0, "write", "k", "\"v1\"", 1, 2), 3)
            + &version(op(1, "read", "k", "\"v0\"", 5, 6), read)
    };
    let bug = contains("BUG: k is violated by the intervals, though its versions explain");
    check().arg("--measure").write_stdin(history(4)).assert().code(1).stdout(bug.clone());
    let none = ["--measure", "--expect", "version_disagreements = 0"];
    check().args(none).write_stdin(history(4)).assert().code(1);
    // Versions that go backwards agree that the read is stale.
    check().args(none).write_stdin(history(2)).assert().code(0).stdout(bug.not());
}

/// Writes that last, and reads that change too often to be explained: only a search tells.
fn crowd() -> String {
    (0..6)
        .flat_map(|n| {
            let (written, read) = (format!("\"{}\"", n % 3), format!("\"{}\"", n % 2));
            let (start, end) = (100 + 10 * u64::from(n), 104 + 10 * u64::from(n));
            [op(n, "write", "k", &written, 0, 1000), op(9, "read", "k", &read, start + 1, end)]
        })
        .collect()
}

#[test]
fn an_undecided_key_is_named_in_the_json() {
    let text = crowd();
    let undecided = json(&["--limit", "1"], text.clone());
    assert_eq!(undecided["metrics"]["linearizable"], "unknown");
    assert_eq!(undecided["unknown_keys"], 1);
    assert_eq!(undecided["unknown"][0]["key"], "k");
    assert!(undecided["unknown"][0]["visited"].as_u64() > Some(1));
    assert_eq!(json(&["--limit", "1000000"], text)["unknown_keys"], 0);
}

#[test]
fn what_was_over_before_a_read_of_absence_is_named() {
    let read = op(1, "read", "k", "\"c\"", 1, 3);
    let absent = op(2, "read", "k", "null", 5, 6);
    let unknown =
        op(0, "write", "k", "\"c\"", 1, 9).replace("9,", "null,").replace("ok", "unknown");
    let late = op(0, "write", "k", "\"c\"", 2, 9);
    for (write, sentence) in [
        (unknown, "client 1 had read c by 3ns and no delete came since"),
        (late, "client 1 had read c by 3ns and no delete came after client 0's write of c began"),
    ] {
        let text = [&read, &write, &absent].map(String::as_str).concat();
        check().write_stdin(text).assert().code(1).stdout(contains(sentence));
    }
}

#[test]
fn a_history_may_begin_at_time_zero() {
    let text = |from: u64| {
        let write = op(1, "write", "k", "\"v1\"", from, from + 1);
        write + &op(1, "read", "k", "null", from + 5, from + 6)
    };
    for from in [0, 1] {
        for expectation in ["read_your_writes = violated", "lost_writes = 1", "stale_reads = 1"] {
            check().args(["--expect", expectation]).write_stdin(text(from)).assert().code(0);
        }
    }
}

#[test]
fn an_undecided_key_may_be_violated() {
    let value = |number: u64| format!("\"{}\"", number % 2);
    let lines = (0..24).map(|number| match number % 2 {
        0 => op(number as u32, "write", "k", &value(number / 2), 0, 100),
        _ => op(number as u32, "read", "k", &value(number / 4), 101 + number, 140),
    });
    let text: String = lines.collect();
    for (expectation, code) in
        [("violated_keys = 0", 3), ("violated_keys <= 1", 0), ("violated_keys > 1", 1)]
    {
        let mut check = check();
        check.args(["--limit", "1", "--expect", expectation]);
        check.write_stdin(text.clone()).assert().code(code);
    }
}

#[test]
fn following_tells_what_it_found_before_a_wrong_line() {
    let cut = stale() + "{\"client\":1,\"op\":\"rea";
    let told = contains("violated  ").and(contains("not linearizable"));
    check().args(["-", "--follow"]).write_stdin(cut).assert().code(2).stdout(told);
    let newer = "{\"format\":2,\"initial\":{}}\n".to_owned() + &stale();
    check().args(["-", "--follow"]).write_stdin(newer).assert().code(2).stderr(contains("newer"));
    check().args(["-", "--follow", "--limit", "1"]).write_stdin(stale()).assert().code(2);
}

/// What no Delta helps is worse than any Delta, and what was not decided is unknown.
#[test]
fn a_delta_can_be_infinite_or_undecided() {
    let never = op(1, "read", "k", "\"nobody wrote this\"", 5, 6);
    for (expectation, code) in [("delta <= 300s", 1), ("delta > 300s", 0), ("delta >= 0s", 0)] {
        let mut command = check();
        command.args(["--expect", expectation]).write_stdin(never.clone());
        command.assert().code(code).stdout(contains("none: some read is never legal"));
    }
    let json = json(&["--measure"], never);
    assert_eq!(json["metrics"]["delta"], serde_json::Value::Null);
    assert_eq!(
        (&json["metrics"]["reads"], &json["metrics"]["never_legal_reads"]),
        (&1.into(), &1.into())
    );
    let undecided = crowd();
    let mut command = check();
    command.args(["--limit", "1", "--expect", "delta <= 300s"]).write_stdin(undecided);
    command.assert().code(3).stdout(contains("smallest delta       undecided: raise --limit"));
}

/// Whether stale reads were looked for in vain, or there was nothing to look at.
#[test]
fn without_reads_nothing_is_known_about_them() {
    for expectation in ["stale_reads = 0", "max_versions_behind = 0", "never_legal_reads = 0"] {
        let write = op(1, "write", "k", "\"v1\"", 5, 6);
        check().args(["--expect", expectation]).write_stdin(write.clone()).assert().code(4);
        let told = contains("no read returned anything");
        check().write_stdin(write).assert().code(0).stdout(told.clone());
        check().write_stdin(fresh()).assert().code(0).stdout(told.not());
        check().args(["--expect", expectation]).write_stdin(fresh()).assert().code(0);
    }
}

#[test]
fn comparisons_that_compare_nothing_are_refused() {
    for (wrong, right) in [("stale_reads => 0", ">="), ("stale_reads =< 0", "<=")] {
        let told = contains(format!("write `stale_reads {right} ...`"));
        check().args(["--expect", wrong]).write_stdin(fresh()).assert().code(2).stderr(told);
    }
    let share = contains("is a share, but this is a number of things");
    check().args(["--expect", "stale_reads = 50%"]).assert().code(2).stderr(share);
    check().args(["--expect", "stale_reads == 0"]).write_stdin(fresh()).assert().code(0);
    check().args(["--expect", "stale_reads = >= 0"]).write_stdin(fresh()).assert().code(0);
}

/// Nanoseconds are whole: 2^53 and 2^53 + 1 are not the same.
#[test]
fn long_durations_are_told_exactly() {
    let text = [
        op(1, "write", "k", "\"v1\"", 1, 2),
        op(1, "write", "k", "\"v2\"", 3, 4),
        op(2, "read", "k", "\"v1\"", 9_007_199_254_740_997, 9_007_199_254_740_998),
    ];
    assert_eq!(
        json(&["--measure"], text.concat())["metrics"]["max_read_staleness"],
        9_007_199_254_740_993u64
    );
}

#[test]
fn the_json_has_what_was_measured() {
    let fault = "{\"fault\":\"the cache is gone\",\"at\":12000000,\"until\":12500000}\n";
    let text = stale() + fault;
    let measured = json(&["--measure"], text);
    let staleness = &measured["staleness"];
    assert_eq!(staleness["reads"], serde_json::json!({"reads": 1, "stale": 1}));
    assert_eq!(staleness["phases"]["during"], serde_json::json!({"reads": 1, "stale": 1}));
    assert_eq!(staleness["phases"]["after"], serde_json::json!({"reads": 0, "stale": 0}));
    let visible = serde_json::json!({"after_ns": 1_000_000, "reads": 1, "visible": 0});
    assert_eq!(staleness["visible"][1], visible);
    let nines = &staleness["nines"][1];
    assert_eq!((&nines["writes"], &nines["contradicted"]), (&2.into(), &1.into()));
    assert_eq!(staleness["nines"][2]["nines"], serde_json::Value::Null);
    assert_eq!(staleness["worst"]["operation"]["client"], 3);
    assert_eq!(staleness["worst"]["at_least_ns"], 3_300_000);
    let lost = &measured["findings"]["lost_writes"];
    assert_eq!((&lost["tested"], &lost["count"]), (&2.into(), &1.into()));
    assert_eq!(lost["operations"][0][0]["value"], "v2");
    assert_eq!(measured["findings"]["torn_views"]["tested"], 0);
    assert_eq!(json(&[], stale()).get("findings"), None);
}

#[test]
fn a_folder_that_leads_back_to_itself_is_searched_once() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "a.jsonl", &fresh());
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    let output = check().arg(folder.path()).assert().code(0).get_output().stdout.clone();
    assert_eq!(String::from_utf8(output).unwrap().matches("a.jsonl").count(), 1);
}

#[test]
fn what_is_compressed_cannot_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let zstd = staleproof::history::file::compressed(stale().as_bytes());
    for (bytes, how) in [(zstd.as_slice(), "zstd"), (&[0x1f, 0x8b, 8], "gzip")] {
        let path = folder.path().join(how);
        std::fs::write(&path, bytes).unwrap();
        let told = contains(format!("it is compressed with {how}")).and(contains("zstdcat FILE"));
        check().args(["--follow", "--idle", "100ms"]).arg(path).assert().code(2).stderr(told);
    }
}

/// A message is for people, however long what is wrong may be.
#[test]
fn what_is_wrong_is_shown_in_part() {
    let long = "v".repeat(100_000);
    let right = op(1, "read", "k", "\"v1\"", 5, 6);
    let with = |from: &str, to: String| right.replace(from, &to);
    for (text, told) in [
        (with("\"read\"", format!("\"{long}\"")), "expected \"read\", \"write\" or \"delete\""),
        (with("\"ok\"", format!("\"{long}\"")), "expected \"ok\", \"fail\" or \"unknown\""),
        (with("\"v1\"", format!("[\"{long}\"]")), "expected a string in quotes, or null"),
        (with("\"k\"", format!("[\"{long}\"]")), "expected a string"),
        (with("5", format!("\"{long}\"")), "expected an integer of 64 bits"),
        (with("\"start\"", format!("\"effect\":\"{long}\",\"start\"")), "expected one of `none`"),
        (
            with("\"start\"", format!("\"hit\":\"{long}\",\"start\"")),
            "expected true, false or null",
        ),
        (format!("{{\"initial\":\"{long}\"}}\n"), "expected an object of keys"),
        (format!("{{\"initial\":{{\"{long}\":null,\"{long}\":null}}}}\n"), "twice"),
    ] {
        let output = check().write_stdin(text).assert().code(2).get_output().stderr.clone();
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains(told) && output.contains("vvv"), "{output}");
        assert!(output.len() < 500, "{}", &output[..500]);
    }
}

#[test]
fn initial_values_in_an_operation_are_refused() {
    let text = fresh().replacen("{", "{\"initial\":{\"k\":\"v0\"},", 1);
    let told = contains("standard input:1: `initial` stands in an operation");
    check().write_stdin(text).assert().code(2).stderr(told);
}

#[test]
fn times_that_are_too_far_apart_are_told_with_their_clients() {
    let text = op(1, "write", "k", "\"v1\"", 0, 6).replace(":0,", ":-9223372036854775808,")
        + &op(2, "read", "k", "\"v1\"", 7, u64::MAX);
    let told = contains("reach from -9223372036854775808 (client 1) to 18446744073709551615")
        .and(contains("count nanoseconds from the start of the history"));
    check().write_stdin(text).assert().code(2).stderr(told);
    let text = op(1, "write", "k", "\"v1\"", 0, 6).replace(":0,", ":-9223372036854775808,")
        + &op(2, "read", "k", "\"v1\"", 7, u64::MAX - 1);
    let told = contains("to 18446744073709551614 (client 2)");
    check().write_stdin(text).assert().code(2).stderr(told);
}

/// What a history says of a fault is printed, and may be meant to deceive a terminal.
#[test]
fn faults_cannot_move_the_cursor() {
    let fault = format!("{{\"fault\":\"\\u001b[2Jgone{}\",\"at\":4000000}}\n", "!".repeat(10_000));
    let output = check().write_stdin(stale() + &fault).assert().code(1).get_output().stdout.clone();
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("\\u{1b}[2Jgone!!!") && output.contains("!..."), "{output}");
    assert!(!output.contains('\u{1b}') && output.len() < 2_000, "{output}");
}

/// Nobody is left to tell, but that is no reason to panic.
#[test]
fn a_full_standard_error_is_no_failure_of_the_tool() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(assert_cmd::cargo::cargo_bin("staleproof"))
        .args(["check", "no-such-file.jsonl"])
        .stderr(full())
        .status();
    assert_eq!(status.unwrap().code(), Some(2));
}
