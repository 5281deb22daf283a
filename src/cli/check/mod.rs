//! `staleproof check`: histories of any source in, verdicts with proofs out.

mod evidence;
mod expect;
mod follow;
mod input;
mod json;
mod measures;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::evidence::Measured;
use self::expect::{Expectation, Met};
use self::measures::Measures;
use super::{Exit, print};
use crate::check::linear::{self, Judgement, LIMIT};
use crate::history::file::{self, Mistakes, Reading};
use crate::history::log::Log;
use crate::time::parse_duration;

const FORMAT_HELP: &str = r#"A history has one operation a line:
  {"client":0,"op":"write","key":"k","value":"v1","start":5,"end":9,"outcome":"ok"}
`op` is read, write or delete; `value` is a string, or null for absence; `start` and `end` are
integers (nanoseconds); `outcome` is ok, fail (certainly without effect) or unknown (`end` is
null; it may take effect at any time from its start on, or never). Lines come in any order. One
more line, best the first, may be
  {"initial":{"k":"v0"}}
A key that it does not name starts absent. `a` precedes `b` only if a.end < b.start.

With --json, `metrics` has every verdict and figure (null: not told or not measured), `violations`
the violated keys with proofs (one without --all), `unknown` the undecided keys with the
configurations `visited` until --limit, `expectations` whether each was `met` (null: unknown).
Where it was measured, `staleness` has it by phase of the faults and by time since the
acknowledgement, `findings` for each checker how much was `tested` and the operations that show
what is wrong (one case without --all).

Exit codes: 0 linearizable (or as expected), 1 violated, 2 wrong input, 3 unknown (a limit was
reached), 4 nothing was tested. Of several histories the worst counts."#;

#[derive(Args)]
#[command(after_help = FORMAT_HELP)]
pub(super) struct Arguments {
    /// History files (.jsonl, .jsonl.zst), folders of them, or `-` for standard input
    #[arg(default_value = "-")]
    paths: Vec<PathBuf>,
    /// What must hold instead of `linearizable = holds`, such as `stale_reads = 0`
    #[arg(long, value_name = "METRIC = VALUE", value_parser = expect::parse)]
    expect: Vec<Expectation>,
    /// Print JSON, one object per history
    #[arg(long)]
    json: bool,
    /// Show every key that is violated, not only the most telling
    #[arg(long)]
    all: bool,
    /// Skip lines that are wrong, and count them
    #[arg(long)]
    lenient: bool,
    /// Measure staleness, session guarantees and so on as well
    #[arg(long)]
    measure: bool,
    /// Print an order that explains the history, if there is one
    #[arg(long)]
    linearization: bool,
    /// Judge the file (or standard input) while it grows, until Ctrl-C; a key whose operations all
    /// have a version by whether an older one is shown after a newer one
    #[arg(
        long,
        conflicts_with_all = ["expect", "json", "all", "linearization", "measure", "limit"]
    )]
    follow: bool,
    /// With --follow: longer than any operation takes until it is reported
    #[arg(long, default_value = "10s", value_parser = parse_duration, requires = "follow")]
    horizon: Duration,
    /// With --follow: stop when nothing was added for so long
    #[arg(long, value_parser = parse_duration, requires = "follow")]
    idle: Option<Duration>,
    /// Configurations that the search may visit for a key whose values were written twice
    #[arg(long, default_value_t = LIMIT)]
    limit: u64,
}

/// What was found out about one history.
struct Checked {
    name: String,
    reading: Reading,
    judgement: Judgement,
    measures: Option<Measures>,
    expectations: Vec<(Expectation, Met)>,
    /// An order for each key, if asked for.
    orders: Vec<(String, Vec<usize>)>,
}

/// What to do about a line that is wrong.
const LENIENT: &str = "correct the line, or pass --lenient to skip and count such lines";

pub(super) fn run(arguments: &Arguments) -> Exit {
    if arguments.follow {
        return follow::run(arguments);
    }
    let sources = match input::find(&arguments.paths) {
        Ok(sources) => sources,
        Err(message) => {
            complain!("{message}");
            return Exit::WrongInput;
        }
    };
    let mut exit = Exit::AsExpected;
    for source in sources {
        match check(arguments, &source) {
            Ok(checked) => {
                let shown = match arguments.json {
                    true => json::render(&checked, arguments),
                    false => text::render(&checked, arguments),
                };
                exit = exit.max(print(&shown)).max(exit_of(&checked));
            }
            Err(error) => {
                complain!("{error}");
                if matches!(error, file::Error::Line { .. }) {
                    complain!("{LENIENT}");
                }
                exit = exit.max(Exit::WrongInput);
            }
        }
    }
    exit
}

fn check(arguments: &Arguments, source: &input::Source) -> Result<Checked, file::Error> {
    let mistakes = if arguments.lenient { Mistakes::Skip } else { Mistakes::Refuse };
    let reading = file::read(source.open()?, &source.name, mistakes)?;
    let judgement = linear::judge_log(&reading.log, arguments.limit);
    let orders = match arguments.linearization {
        true => orders(&reading.log, arguments.limit),
        false => Vec::new(),
    };
    let wanted = match arguments.expect.as_slice() {
        [] => vec![expect::linearizable()],
        given => given.to_vec(),
    };
    let more = arguments.measure || wanted.iter().any(Expectation::needs_measures);
    let measures = more.then(|| Measures::of(&reading.log, &judgement, arguments.limit));
    let (log, measures_of) = (&reading.log, measures.as_ref());
    let measured = Measured { log, judgement: &judgement, measures: measures_of };
    let expectations = wanted.into_iter().map(|e| (e.clone(), e.judge(&measured))).collect();
    Ok(Checked { name: source.name.clone(), reading, judgement, measures, expectations, orders })
}

/// A linearization of every key that has one.
fn orders(log: &Log, limit: u64) -> Vec<(String, Vec<usize>)> {
    let (places, from) = log.by_key();
    let mut orders = Vec::new();
    for key in 0..log.keys() {
        let places = &places[from[key] as usize..from[key + 1] as usize];
        let ops: Vec<_> = places.iter().map(|place| log.ops[*place as usize]).collect();
        if let Some(order) = linear::linearization(&ops, log.initial[key], limit) {
            let order = order.into_iter().map(|place| places[place] as usize).collect();
            let name = log.key_name(crate::history::record::KeyId(key as u32));
            orders.push((name.to_owned(), order));
        }
    }
    orders
}

/// `1 key`, `2 keys`.
fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn exit_of(checked: &Checked) -> Exit {
    if checked.reading.log.ops.is_empty() {
        return Exit::NotTested;
    }
    let of = |met: &Met| match met {
        Met::Yes => Exit::AsExpected,
        Met::No => Exit::Differs,
        Met::Unknown => Exit::Unknown,
        Met::NotMeasured => Exit::NotTested,
    };
    checked.expectations.iter().map(|(_, met)| of(met)).max().unwrap_or(Exit::AsExpected)
}
