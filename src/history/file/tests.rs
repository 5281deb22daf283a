//! The quick way and the careful way must agree; mistakes are named.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::chunk::Chunks;
use super::line::{Line, RawOp, Span};
use super::scan::scan;
use super::*;
use crate::history::log::{Log, Op, Value};
use crate::history::record::KeyId;
use crate::time::Time;

const LINES: [&str; 8] = [
    r#"{"client":0,"op":"write","key":"product:1","value":"v1","start":5,"end":9,"outcome":"ok"}"#,
    r#"{"client":17,"op":"read","key":"k","value":null,"start":-5,"end":-5,"outcome":"ok"}"#,
    r#"{ "op": "delete", "key": "", "client": 1, "start": 0, "outcome": "unknown", "end": null }"#,
    r#"{"client":-1,"op":"read","key":"é","start":1,"end":18446744073709551613,"outcome":"fail"}"#,
    r#"{"client":1,"op":"write","key":"k","value":"","start":1,"end":4,"outcome":"failed"}"#,
    r#"{"client":1,"op":"write","key":"k","value":"a","start":1,"end":4,"outcome":"unknown"}"#,
    r#"{"id":"c0#1","client":0,"op":"read","key":"k","value":"w","start":1,"end":2,"outcome":"ok",
       "group":"c0#1","version":7,"hit":true,"reported":"ok","effect":"none","steps":3}"#,
    r#"{"client":9,"op":"write","key":"k","value":"w","start":1,"end":2,"outcome":"ok","hit":null,
       "version":null,"group":null,"effect":"committed","reported":"error"}"#,
];

/// The texts of an operation, and the rest of it.
fn told(op: &RawOp, bytes: &[u8], side: &[u8]) -> (Vec<Option<String>>, RawOp) {
    let all = [bytes, side].concat();
    let text = |span: Span| {
        let range = span.from as usize..span.from.wrapping_add(span.length) as usize;
        (span != Span::NULL).then(|| String::from_utf8(all[range].to_vec()).unwrap())
    };
    let texts = [op.key, op.value, op.group].map(text).to_vec();
    (texts, RawOp { key: Span::NULL, value: Span::NULL, group: Span::NULL, ..*op })
}

fn compare(line: &str) -> bool {
    let Some((quick, end)) = scan(line.as_bytes(), 0) else { return false };
    assert_eq!(end, line.len(), "{line}");
    let mut side = Vec::new();
    match line::read(line, line.len(), &mut side) {
        Ok(Line::Op(careful)) => {
            let careful = told(&careful, line.as_bytes(), &side);
            assert_eq!(told(&quick, line.as_bytes(), &[]), careful, "{line}");
        }
        other => panic!("accepted without care, though {other:?}: {line}"),
    }
    true
}

#[test]
fn the_quick_way_reads_what_the_careful_way_reads() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let pieces = [
        "\"",
        "0",
        "9",
        "-",
        ".",
        "e5",
        "null",
        "true",
        ",",
        ":",
        "{",
        "}",
        "\\",
        "\\n",
        "\u{1}",
        "é",
        " ",
        "\"key\":\"x\",",
        "\"value\":\"y\",",
        "\"end\":3,",
        "18446744073709551616",
    ];
    let (mut accepted, mut tried) = (0, 0);
    for line in LINES {
        let line = line.replace('\n', "");
        assert!(compare(&line), "{line}");
        for _ in 0..if cfg!(debug_assertions) { 20_000 } else { 200_000 } {
            let mut text: Vec<char> = line.chars().collect();
            for _ in 0..random.random_range(1..4u32) {
                let from = random.random_range(0..=text.len());
                let to = (from + random.random_range(0..3usize)).min(text.len());
                let piece = pieces[random.random_range(0..pieces.len())];
                text.splice(from..to, piece.chars());
            }
            tried += 1;
            accepted += u32::from(compare(&text.into_iter().collect::<String>()));
        }
    }
    assert!(accepted > tried / 100, "{accepted} of {tried}");
}

fn log_of(text: &str) -> Log {
    read(text.as_bytes(), "test", Mistakes::Refuse).unwrap().log
}

#[test]
fn escapes_and_plain_text_are_one_key() {
    let plain = LINES[0].replace("product:1", "aé");
    let escaped = LINES[0].replace("product:1", "\\u0061\\u00e9").replace("v1", "\\u0076\\u0031");
    let log = log_of(&format!("{plain}\n{escaped}\n"));
    assert_eq!((log.keys(), log.ops.len()), (1, 2));
    assert_eq!(log.ops[0], log.ops[1]);
    assert_eq!(log.key_name(log.ops[0].key), "aé");
    assert_eq!(log.value_name(log.ops[0].key, log.ops[0].value), Some("v1"));
}

#[test]
fn negative_times_keep_their_order_and_come_back() {
    let min = i64::MIN;
    let text = LINES[1].replace("-5", &min.to_string()) + "\n" + LINES[0] + "\n" + LINES[2] + "\n";
    let log = log_of(&text);
    assert_eq!(log.ops[0].start, Time(0));
    assert_eq!(log.recorded(log.ops[0].start), i128::from(min));
    assert_eq!(log.recorded(log.ops[1].end), 9);
    assert_eq!(log.ops[2].end, Time::NEVER);
    assert!(log.ops[0].precedes(&log.ops[1]) && !log.ops[2].precedes(&log.ops[0]));
    assert!(log.ops.iter().all(|op| op.start <= Op::LATEST));
}

#[test]
fn lines_may_be_longer_than_a_chunk() {
    let long = "x".repeat(3 << 20);
    let text = [LINES[0], &LINES[0].replace("v1", &long), LINES[0]].join("\n");
    let log = log_of(&text);
    assert_eq!(log.ops.len(), 3);
    assert_eq!(log.value_name(log.ops[1].key, log.ops[1].value), Some(&*long));
}

#[test]
fn chunks_end_with_lines() {
    let text = format!("{}\n", LINES[0]).repeat(40_000);
    let mut chunks = Chunks::new(text.as_bytes());
    let (mut ops, mut parts) = (0, 0);
    while let Some(parsed) = chunks.next_parsed() {
        let parsed = parsed.unwrap();
        assert!(parsed.wrong.is_empty());
        ops += parsed.ops.len();
        parts += 1;
    }
    assert!(ops == 40_000 && parts > 3, "{ops} in {parts}");
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (line, message) in [
        (
            r#"{"client":0,"op":"write","key":"k","value":"v","start":9,"end":5,"outcome":"ok"}"#,
            "`end` 5 is before `start` 9",
        ),
        (
            r#"{"client":0,"op":"write","key":"k","value":"v","start":9,"outcome":"ok"}"#,
            "`end` is missing though the outcome is ok",
        ),
        (
            r#"{"client":0,"op":"write","key":"k","value":"","start":9,"end":null,"outcome":"ok"}"#,
            "`end` is missing though the outcome is ok",
        ),
        (
            r#"{"client":0,"op":"write","key":"k","start":5,"end":9,"outcome":"ok"}"#,
            "`value` is missing",
        ),
        (
            r#"{"client":0,"op":"read","key":"k","start":5,"end":9,"outcome":"ok"}"#,
            "`value` is missing",
        ),
        (
            r#"{"client":0,"op":"cas","key":"k","value":"v","start":5,"end":9,"outcome":"ok"}"#,
            r#"`op` is "cas"; expected "read""#,
        ),
        (
            r#"{"client":0,"op":"read","key":"k","value":7,"start":5,"end":9,"outcome":"ok"}"#,
            "`value` is 7; expected a string in quotes",
        ),
        (
            r#"{"client":0,"op":"read","key":7,"value":null,"start":5,"end":9,"outcome":"ok"}"#,
            "`key` is 7",
        ),
        (
            r#"{"client":"a","op":"read","key":"k","value":"v","start":5,"end":9,"outcome":"ok"}"#,
            "`client` is \"a\"",
        ),
        (
            r#"{"client":0,"op":"read","key":"k","value":"v","start":5.5,"end":9,"outcome":"ok"}"#,
            "`start` is 5.5; expected an integer of 64 bits",
        ),
        (
            r#"{"client":0,"op":"read","key":"k","value":"v","start":5,"end":9,"outcome":"info"}"#,
            "`outcome` is \"info\"",
        ),
        (
            r#"{"client":0,"op":"delete","key":"k","value":"v","start":5,"end":9,"outcome":"ok"}"#,
            "`value` of a delete",
        ),
        (
            r#"{"client":0,"op":"read","key":"k","key":"k","value":"v","start":5,"end":9}"#,
            "duplicate field `key`",
        ),
        (r#"{"type":"invoke","f":"read","process":0,"time":1}"#, "this is no operation"),
        (r#"[1,2]"#, "expected a JSON object"),
        (r#"0 :invoke :read nil"#, "begins with \"0 :invoke"),
        (r#"{"client":0,"op":"read""#, "cut off"),
    ] {
        let text = format!("{}\n{line}", LINES[0]);
        let error = read(text.as_bytes(), "file", Mistakes::Refuse).unwrap_err().to_string();
        assert!(error.starts_with("file:2: ") && error.contains(message), "{error}");
        let skipped = read(format!("{text}\n{}", LINES[0]).as_bytes(), "file", Mistakes::Skip);
        let skipped = skipped.unwrap();
        assert_eq!((skipped.skipped, skipped.log.ops.len(), skipped.lines), (1, 2, 3), "{line}");
    }
}

#[test]
fn what_is_no_text_is_named() {
    let mut text = format!("{}\n", LINES[0]).into_bytes();
    text.extend_from_slice(&LINES[0].as_bytes()[..40]);
    text.push(0xff);
    text.extend_from_slice(format!("\n{}\n", LINES[0]).as_bytes());
    let error = read(&text[..], "file", Mistakes::Refuse).unwrap_err().to_string();
    assert!(error.contains("file:2: byte 41 is not UTF-8"), "{error}");
    let reading = read(&text[..], "file", Mistakes::Skip).unwrap();
    assert_eq!((reading.skipped, reading.log.ops.len()), (1, 2));
}

#[test]
fn one_line_may_say_what_was_there() {
    let initial = r#"{"initial":{"k":"v","l":null}}"#;
    for text in [format!("{initial}\n{}\n", LINES[1]), format!("{}\n{initial}\n", LINES[1])] {
        let log = log_of(&text);
        assert_eq!(log.value_name(KeyId(0), log.initial[0]), Some("v"));
        assert_eq!((log.key_name(KeyId(1)), log.initial[1]), ("l", Value::NULL));
    }
    let twice = format!("{initial}\n{}\n{initial}\n", LINES[1]);
    let error = read(twice.as_bytes(), "file", Mistakes::Refuse).unwrap_err().to_string();
    assert!(error.starts_with("file:3: a second line with `initial`"), "{error}");
    for (first, message) in [
        (r#"{"format":2,"initial":{}}"#, "version is 2"),
        (r#"{"initial":{"k":"v","k":"w"}}"#, "has key \"k\" twice"),
        (r#"{"initial":{"k":1}}"#, "expected a string"),
    ] {
        let error = read(first.as_bytes(), "file", Mistakes::Refuse).unwrap_err().to_string();
        assert!(error.contains("file:1: ") && error.contains(message), "{error}");
    }
}
