//! Drawn records against a rendering that shares nothing with the encoder, and read back.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value as Json, json};

use super::super::line::{self, Line, Number, Other, RawOp, Span};
use super::super::scan::scan;
use super::super::{Mistakes, read};
use super::*;
use crate::operation::{ClientId, ProcessId};

/// Keys of all sorts: plain, with what JSON escapes, with what is no text.
const KEYS: [&[u8]; 10] = [
    b"product:1",
    b"",
    b"a \"quoted\" key",
    b"back\\slash",
    b"control \x01\n\t\x7f",
    "umlaut \u{e9} and \u{1f600}".as_bytes(),
    "next line \u{85}".as_bytes(),
    b"not text \xff\xfe\"",
    b"{\"client\":0}",
    b"a key that is longer than twenty-two bytes",
];

const REPORTED: [Reported; 5] =
    [Reported::Ok, Reported::Unchanged, Reported::Error, Reported::Nothing, Reported::Panic];

fn pick<T: Copy>(random: &mut ChaCha8Rng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}

fn drawn_id(random: &mut ChaCha8Rng) -> OpId {
    let client = match random.random_range(0..8u32) {
        0 => ClientId::BYPASS,
        1 => ClientId::background(ProcessId(random.random_range(0..3))),
        2 => ClientId(random.random_range(0..0x7000_0000)),
        n => ClientId(n),
    };
    let most = if random.random_bool(0.1) { u32::MAX } else { 30 };
    match random.random_range(0..12u32) {
        0 => OpId::INITIAL,
        1 => OpId::NONE,
        _ => OpId::new(client, random.random_range(1..=most)),
    }
}

fn drawn_operation(random: &mut ChaCha8Rng) -> Operation {
    let flip = |random: &mut ChaCha8Rng| random.random_bool(0.5);
    let did = match random.random_range(0..4u32) {
        0 => Did::Write,
        1 => Did::Delete,
        _ => {
            let found = flip(random).then(|| drawn_id(random));
            let wrong = random.random_bool(0.2);
            Did::Read { found, wrong, hit: pick(random, &[None, Some(false), Some(true)]) }
        }
    };
    let outcome = pick(random, &[Outcome::Ok, Outcome::Failed, Outcome::Unknown]);
    let start = Time(random.random_range(0..1_000_000_000_000));
    let returned = Time(start.0 + random.random_range(0..1_000_000));
    // An ok operation returned; only of the others the end can be missing.
    let never = outcome != Outcome::Ok && random.random_bool(0.3);

    Operation {
        id: drawn_id(random),
        did,
        start,
        end: if never { Time::NEVER } else { returned },
        outcome,
        version: pick(random, &[0, 1, 7, u64::MAX]),
        several: flip(random),
        effect: pick(
            random,
            &[None, Some(Effect::None), Some(Effect::Committed), Some(Effect::Unknown)],
        ),
        reported: flip(random).then(|| pick(random, &REPORTED)),
        steps: pick(random, &[None, Some(0), Some(17), Some(u16::MAX)]),
    }
}

/// Each field of an operation, in the order of a load's history, and then what only recorded
/// runs have.
fn fields(key: &Key, operation: &Operation) -> Vec<(&'static str, Option<Json>)> {
    let Operation { id, did, start, end, outcome, .. } = *operation;
    let (op, value, hit) = match did {
        Did::Write => ("write", json!(id.to_string()), None),
        Did::Delete => ("delete", Json::Null, None),
        Did::Read { found, wrong, hit } => {
            let note = if wrong { " of another row" } else { "" };
            ("read", json!(found.map(|writer| format!("{writer}{note}"))), hit)
        }
    };
    let ended = outcome != Outcome::Unknown && end != Time::NEVER;
    let outcome = match outcome {
        Outcome::Failed => json!("fail"),
        other => json!(other),
    };
    vec![
        ("client", Some(json!(id.0 >> 32))),
        ("op", Some(json!(op))),
        ("key", Some(json!(key.to_string()))),
        ("value", Some(value)),
        ("start", Some(json!(start.0))),
        ("end", Some(json!(ended.then_some(end.0)))),
        ("outcome", Some(outcome)),
        ("id", Some(json!(id.to_string()))),
        ("group", operation.several.then(|| json!(id.to_string()))),
        ("version", (operation.version > 0).then(|| json!(operation.version))),
        ("hit", hit.map(|hit| json!(hit))),
        ("effect", operation.effect.map(|effect| json!(effect))),
        ("reported", operation.reported.map(|reported| json!(reported))),
        ("steps", operation.steps.map(|steps| json!(steps))),
    ]
}

/// An object with its fields in the order given.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Json>)>) -> String {
    let told = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let texts: Vec<String> = told.map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}\n", texts.join(","))
}

/// An object with its fields in the order of their names.
fn sorted(mut fields: Vec<(&'static str, Option<Json>)>) -> String {
    fields.sort_by_key(|(name, _)| *name);
    object(fields)
}

#[test]
fn every_line_is_what_an_independent_rendering_says() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut recorded, mut loaded) = (Encoder::new(&RECORDED), Encoder::new(&LOADED));
    for _ in 0..5_000 {
        let key = Key::from_bytes(pick(&mut random, &KEYS).to_vec().into());
        let operation = drawn_operation(&mut random);
        let record = Record::Operation(&key, &operation);
        let all = fields(&key, &operation);
        let line = String::from_utf8(loaded.line(&record).to_vec()).unwrap();
        assert_eq!(line, object(all[..11].iter().cloned()));
        let line = String::from_utf8(recorded.line(&record).to_vec()).unwrap();
        assert_eq!(line, sorted(all));
        assert!(serde_json::from_str::<Json>(&line).unwrap().is_object());
    }
}

#[test]
fn heads_faults_and_phases_are_what_an_independent_rendering_says() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for layout in [&RECORDED, &LOADED] {
        let mut encoder = Encoder::new(layout);
        for _ in 0..500 {
            let keys = (0..random.random_range(0..5u32)).map(|_| pick(&mut random, &KEYS));
            let name = |key: &[u8]| Key::from_bytes(key.to_vec().into()).to_string();
            let initial: BTreeMap<String, OpId> =
                keys.map(|key| (name(key), OpId::INITIAL)).collect();
            let values: Map<String, Json> =
                initial.iter().map(|(key, id)| (key.clone(), json!(id.to_string()))).collect();
            let head = format!("{}\n", json!({"format": 1, "initial": values}));
            assert_eq!(encoder.line(&Record::Head(&initial)), head.as_bytes());

            let name = String::from_utf8_lossy(pick(&mut random, &KEYS)).into_owned();
            let at = Time(random.random_range(0..=u64::MAX - 1));
            let until = pick(&mut random, &[None, Some(at), Some(Time::NEVER)]);
            let ended = until.filter(|until| *until != Time::NEVER).map(|until| until.0);
            let line = match layout.fault.len() {
                2 => json!({"fault": name, "at": at.0}),
                _ => json!({"fault": name, "at": at.0, "until": ended}),
            };
            let fault = Record::Fault { name: &name, at, until };
            assert_eq!(encoder.line(&fault), format!("{line}\n").as_bytes());

            let line = json!({"phase": name, "at": at.0});
            let phase = Record::Phase { name: &name, at };
            assert_eq!(encoder.line(&phase), format!("{line}\n").as_bytes());
        }
    }
    assert_eq!((RECORDED.fault.len(), LOADED.fault.len()), (3, 2));
}

/// The texts of an operation as it was read, and the rest of it.
fn told(op: RawOp, line: &[u8], side: &[u8]) -> ([Option<String>; 3], RawOp) {
    let all = [line, side].concat();
    let text = |span: Span| {
        let range = span.from as usize..span.from.wrapping_add(span.length) as usize;
        (span != Span::NULL).then(|| String::from_utf8(all[range].to_vec()).unwrap())
    };
    let texts = [op.key, op.value, op.group].map(text);
    (texts, RawOp { key: Span::NULL, value: Span::NULL, group: Span::NULL, ..op })
}

/// What both readers must make of a line.
fn meant(layout: &Layout, key: &Key, operation: &Operation) -> ([Option<String>; 3], RawOp) {
    let Operation { id, did, start, end, outcome, .. } = *operation;
    let number = |magnitude| Number { magnitude, negative: false };
    let knows = |field| layout.operation.contains(&field);
    let (kind, value, hit) = match did {
        Did::Read { found, wrong, hit } => {
            let note = if wrong { " of another row" } else { "" };
            let value = found.map(|writer| format!("{writer}{note}"));
            (crate::history::log::Kind::Read, value, hit)
        }
        Did::Write => (crate::history::log::Kind::Write, Some(id.to_string()), None),
        Did::Delete => (crate::history::log::Kind::Write, None, None),
    };
    let op = RawOp {
        key: Span::NULL,
        value: Span::NULL,
        group: Span::NULL,
        client: number(u64::from(id.client().0)),
        start: number(start.0),
        end: (outcome != Outcome::Unknown && end != Time::NEVER).then(|| number(end.0)),
        version: (operation.version > 0).then_some(operation.version),
        kind,
        outcome,
        hit,
        reported: operation.reported.filter(|_| knows(Field::Reported)),
        effect: operation.effect.filter(|_| knows(Field::Effect)),
    };
    ([Some(key.to_string()), value, operation.several.then(|| id.to_string())], op)
}

#[test]
fn both_readers_read_back_what_was_written() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut quick = 0;
    for layout in [&RECORDED, &LOADED] {
        let mut encoder = Encoder::new(layout);
        for _ in 0..3_000 {
            let key = Key::from_bytes(pick(&mut random, &KEYS).to_vec().into());
            let operation = drawn_operation(&mut random);
            let line = encoder.line(&Record::Operation(&key, &operation)).to_vec();
            let text = std::str::from_utf8(&line).unwrap().trim_end();
            let meant = meant(layout, &key, &operation);
            let mut side = Vec::new();
            let Ok(Line::Op(careful)) = line::read(text, line.len(), &mut side) else {
                panic!("{text}");
            };
            assert_eq!(told(careful, &line, &side), meant, "{text}");
            match scan(&line, 0) {
                Some((op, end)) => {
                    assert_eq!((told(op, &line, &[]), end), (meant, line.len()), "{text}");
                    quick += 1;
                }
                // Only what needs an escape takes the slow way.
                None => assert!(text.contains('\\'), "{text}"),
            }
        }
    }
    assert!(quick > 1_000, "{quick}");
}

#[test]
fn heads_faults_and_phases_are_read_back() {
    let key = String::from_utf8_lossy(KEYS[4]).into_owned();
    let initial = BTreeMap::from([(key.clone(), OpId::INITIAL), ("k".to_owned(), OpId::NONE)]);
    let until = |layout: &Layout| layout.fault.contains(&FaultField::Until).then_some(9);
    for layout in [&RECORDED, &LOADED] {
        let mut encoder = Encoder::new(layout);
        let mut file = encoder.line(&Record::Head(&initial)).to_vec();
        let fault = Record::Fault { name: "a \"fault\"", at: Time(5), until: Some(Time(9)) };
        file.extend_from_slice(encoder.line(&fault));
        for (name, at) in [("faults-end", 10), ("quiescent", 20), ("audit", 30)] {
            file.extend_from_slice(encoder.line(&Record::Phase { name, at: Time(at) }));
        }
        let log = read(&file[..], "written", Mistakes::Refuse).unwrap().log;
        let start = |name: &str| {
            let of = (0..log.keys()).map(|key| crate::history::record::KeyId(key as u32));
            let key = of.into_iter().find(|key| log.key_name(*key) == name).unwrap();
            log.value_name(key, log.initial[key.0 as usize]).map(str::to_owned)
        };
        assert_eq!((start(&key), start("k")), (Some("initial".into()), Some("none".into())));
        let fault = &log.faults[0];
        assert_eq!((&*fault.what, fault.at), ("a \"fault\"", Time(5)));
        assert_eq!(fault.until.map(|until| until.0), until(layout));
        let phases = log.phases.unwrap();
        let times = [phases.faults_end, phases.quiescent, phases.audit];
        assert_eq!(times, [Time(10), Time(20), Time(30)]);

        let line = encoder.line(&Record::Phase { name: "audit", at: Time(7) }).to_vec();
        let text = std::str::from_utf8(&line).unwrap();
        let at = Number { magnitude: 7, negative: false };
        let phase = Line::Other(Other::Phase { name: "audit".to_owned(), at });
        assert_eq!(line::read(text, 0, &mut Vec::new()), Ok(phase));
    }
}
