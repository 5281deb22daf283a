//! `check --follow`: a history is judged while it grows.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Arguments, LENIENT, plural};
use crate::check::linear::words::{self, Clock};
use crate::check::linear::{Proof, Violation};
use crate::check::online::{Alarm, Online, Report};
use crate::cli::{Exit, print};
use crate::history::file::{Followed, FollowedLine, compression, read_line};
use crate::history::log::Log;
use crate::time::human;

/// How long to wait before looking for more at the end of a file.
const PAUSE: Duration = Duration::from_millis(100);

/// What some programs begin a file of UTF-8 with.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(super) fn run(arguments: &Arguments) -> Exit {
    let [path] = arguments.paths.as_slice() else {
        complain!("--follow takes one file, or - for standard input");
        return Exit::WrongInput;
    };
    // A second handler in one process is the only way to fail; the first one then serves.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst));
    let waits = path.as_os_str() != "-";
    let mut source: Box<dyn BufRead> = match open(path) {
        Ok(source) => source,
        Err(message) => {
            complain!("{message}");
            return Exit::WrongInput;
        }
    };
    let mut following = Following::new(arguments, path);
    let mut line = Vec::new();
    let mut idle_since = Instant::now();
    loop {
        match source.read_until(b'\n', &mut line) {
            Err(error) => {
                complain!("{}: cannot be read: {error}", path.display());
                return Exit::WrongInput;
            }
            // The writer has not finished the line: what is there stays.
            Ok(_) if !line.ends_with(b"\n") && waits => {
                let over = arguments.idle.is_some_and(|idle| idle_since.elapsed() >= idle);
                if over || INTERRUPTED.load(Ordering::SeqCst) {
                    break;
                }
                std::thread::sleep(PAUSE);
                continue;
            }
            Ok(0) => break,
            Ok(_) => {}
        }
        idle_since = Instant::now();
        if let Err(exit) = following.take(&line) {
            return following.finish(exit);
        }
        line.clear();
    }
    let exit = following.take(&line).err().unwrap_or(Exit::AsExpected);
    following.finish(exit)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, String> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = std::fs::File::open(path);
    let file = file.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn report(followed: &Followed) -> Report<'_> {
    Report {
        key: &followed.key,
        value: followed.value.as_deref(),
        client: followed.client,
        op: followed.op,
        version: followed.version,
    }
}

/// The proof in words. A value that was replaced long ago is forgotten, so of one that
/// appears again nobody can say any more that it never was written.
fn said(log: &Log, violation: &Violation) -> String {
    let sentence = words::sentence(log, violation, &Clock::of(log));
    match &violation.proof {
        Proof::NeverWritten { .. } => {
            let what = sentence.strip_suffix(", which nobody ever wrote").unwrap_or(&sentence);
            format!("{what}, which nobody wrote, or which had been replaced before the horizon")
        }
        _ => sentence,
    }
}

struct Following<'a> {
    arguments: &'a Arguments,
    name: String,
    online: Online,
    lines: u64,
    /// Whether a line that is not empty was seen.
    begun: bool,
    skipped: u64,
}

impl<'a> Following<'a> {
    fn new(arguments: &'a Arguments, path: &Path) -> Following<'a> {
        Following {
            arguments,
            name: path.display().to_string(),
            online: Online::new(arguments.horizon),
            lines: 0,
            begun: false,
            skipped: 0,
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Exit> {
        if line.is_empty() {
            return Ok(());
        }
        self.lines += 1;
        if let Some(how) = compression(line).filter(|_| self.lines == 1) {
            complain!(
                "{}: it is compressed with {how}; --follow reads plain text, so decompress it, as \
                 in `zstdcat FILE | staleproof check --follow -`",
                self.name
            );
            return Err(Exit::WrongInput);
        }
        let line = line.strip_prefix(BOM).filter(|_| self.lines == 1).unwrap_or(line);
        let is_first = !self.begun;
        self.begun |= !line.trim_ascii().is_empty();
        let alarm = match read_line(line) {
            Ok(FollowedLine::Operation(operation)) => self.online.take(&report(&operation)),
            Ok(FollowedLine::Initial(initial)) if is_first => {
                for (key, value) in &initial {
                    self.online.start(key, value.as_deref());
                }
                None
            }
            Ok(FollowedLine::Initial(_)) => {
                return self.wrong(
                    "`initial` comes too late; with --follow it must be the first line, since what \
                     was judged before it is judged",
                );
            }
            Ok(FollowedLine::Nothing) => None,
            Err(message) => return self.wrong(&message),
        };
        match alarm.map(|alarm| self.tell(alarm)) {
            Some(Exit::Environment) => Err(Exit::Environment),
            _ => Ok(()),
        }
    }

    fn wrong(&mut self, message: &str) -> Result<(), Exit> {
        if self.arguments.lenient {
            self.skipped += 1;
            return Ok(());
        }
        complain!("{}:{}: {message}", self.name, self.lines);
        complain!("{LENIENT}");
        Err(Exit::WrongInput)
    }

    fn tell(&self, alarm: Alarm) -> Exit {
        let (log, ops, sentence) = match &alarm {
            Alarm::Violated(log, violation) => (log, violation.ops.clone(), said(log, violation)),
            Alarm::Backwards(log) => {
                let sentence = "an older version was shown after a newer one".to_owned();
                (log, (0..log.ops.len()).collect(), sentence)
            }
        };
        let key = log.ops.first().map_or("", |op| log.key_name(op.key));
        let mut out = format!("violated  {}: {sentence}\n", words::name(key));
        for lane in words::lanes(log, &ops, &Clock::of(log)) {
            out.push_str(&format!("    {}\n", lane.trim_end()));
        }
        print(&out)
    }

    /// Tells what was found up to here, also where it ends with a line that is wrong.
    fn finish(mut self, exit: Exit) -> Exit {
        let kept = self.online.kept();
        for alarm in self.online.finish() {
            self.tell(alarm);
        }
        let online = &self.online;
        let verdict = match () {
            () if online.operations == 0 => ("not tested", Exit::NotTested),
            () if online.violated > online.went_back => ("not linearizable", Exit::Differs),
            () if online.went_back > 0 => ("versions went back", Exit::Differs),
            () if online.undecided + online.late > 0 => ("unknown", Exit::Unknown),
            () if online.versioned() == 0 => ("linearizable", Exit::AsExpected),
            () if online.versioned() == online.keys() => ("versions in order", Exit::AsExpected),
            () => ("linearizable, versions in order", Exit::AsExpected),
        };
        let mut out = format!(
            "{}  {}: {} on {}, {} violated; {kept} operations kept at the end of a \
             horizon of {}\n",
            verdict.0,
            self.name,
            plural(online.operations, "operation"),
            plural(online.keys() as u64, "key"),
            online.violated,
            human(self.arguments.horizon.as_nanos() as u64)
        );
        if online.late > 0 {
            out.push_str(&format!(
                "  {} operations came later than the horizon allows; raise --horizon\n",
                online.late
            ));
        }
        if self.skipped > 0 {
            out.push_str(&format!("  {} lines skipped\n", self.skipped));
        }
        print(&out).max(verdict.1).max(exit)
    }
}
