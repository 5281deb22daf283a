//! The text protocol's classic commands, from bytes.
//!
//! memcached checks how many tokens there are, then `noreply`, then the key, then the
//! numbers; which error is told, and whether a body is skipped, follows from that order.

use bytes::Bytes;

use super::meta;
use super::request::{Answer, Framing, Request, Stats, Work};
use super::session::{Action, Parsed};
use super::tokens::{Tokens, long, signed, unsigned};
use crate::backend::memcached_model::{ITEM_BYTES_MAX, KEY_BYTES_MAX, MetaExtras, item_bytes};
use crate::step::{CacheCommand, Direction, Key, Ttl, Verb};

pub(super) const BAD_LINE: &str = "CLIENT_ERROR bad command line format";
pub(super) const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";
pub(super) const BAD_CHUNK: &str = "CLIENT_ERROR bad data chunk";
const BAD_EXPIRY: &str = "CLIENT_ERROR invalid exptime argument";
/// The most bytes that `-m` can be set to.
const MEGABYTES_MAX: u32 = 1_000_000_000;
/// memcached's slab classes are lower than this.
const CLASSES: u32 = 64;

/// A line and what comes behind it.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// The length of the line with its end.
    pub(super) used: usize,
    /// What has been received behind it.
    pub(super) after: &'a [u8],
}

impl Line<'_> {
    /// The line is dealt with by itself.
    pub(super) fn done(&self, action: Action) -> Parsed {
        Parsed::Done(self.used, action)
    }

    pub(super) fn say(&self, text: &str) -> Parsed {
        self.done(Action::say(text))
    }

    fn run(&self, command: CacheCommand, answer: Answer) -> Parsed {
        let work = Work::One(command, MetaExtras::default());
        self.done(Action::Run(Request { work, framing: Framing::Classic(answer) }))
    }

    /// A reply that `noreply` suppresses.
    fn tell(&self, answer: Answer, text: &str) -> Parsed {
        match answer {
            Answer::Wanted => self.say(text),
            Answer::Suppressed => self.done(Action::Nothing),
        }
    }

    /// The body that follows a line, `None` when it does not end where it was said to; or
    /// how many bytes line and body have, when they are not all there.
    pub(super) fn body(&self, length: usize) -> Result<Option<Bytes>, usize> {
        let Some(body) = self.after.get(..length + 2) else {
            return Err(self.used + length + 2);
        };
        let whole = body.ends_with(b"\r\n");
        Ok(whole.then(|| Bytes::copy_from_slice(&body[..length])))
    }
}

/// What a complete line, and perhaps the body behind it, leads to.
pub(super) fn parse(line: &[u8], used: usize, after: &[u8]) -> Parsed {
    let tokens = Tokens::split(line);
    let at = Line { used, after };
    let name = tokens.get(0);
    if name.len() < 2 {
        return at.say("ERROR");
    }
    let between = |low, high| (low..=high).contains(&tokens.len());
    match name {
        [b'm', letter] => meta::parse(*letter, &tokens, at),
        b"get" | b"gets" | b"gat" | b"gats" | b"bget" if tokens.len() >= 2 => get(&tokens, at),
        b"set" if between(5, 6) => store(Verb::Set, &tokens, at),
        b"add" if between(5, 6) => store(Verb::Add, &tokens, at),
        b"replace" if between(5, 6) => store(Verb::Replace, &tokens, at),
        b"append" if between(5, 6) => store(Verb::Append, &tokens, at),
        b"prepend" if between(5, 6) => store(Verb::Prepend, &tokens, at),
        b"cas" if between(6, 7) => store(Verb::Cas(0), &tokens, at),
        b"incr" if between(3, 4) => count(Direction::Increment, &tokens, at),
        b"decr" if between(3, 4) => count(Direction::Decrement, &tokens, at),
        b"touch" if between(3, 4) => touch(&tokens, at),
        b"delete" if between(2, 4) => delete(&tokens, at),
        b"flush_all" if between(1, 3) => flush(&tokens, at),
        b"verbosity" if between(2, 3) => verbosity(&tokens, at),
        b"cache_memlimit" if between(2, 3) => memory_limit(&tokens, at),
        b"version" => at.run(CacheCommand::Version, Answer::Wanted),
        b"stats" => stats(&tokens, at),
        b"lru_crawler" => crawler(&tokens, at),
        b"quit" => at.done(Action::Close(Vec::new())),
        b"shutdown" => at.say("ERROR: shutdown not enabled"),
        b"watch" => at.say("CLIENT_ERROR watch commands not allowed"),
        _ if is_http(&tokens) => at.done(Action::Close(Vec::new())),
        _ => at.say("ERROR"),
    }
}

/// A browser that was led here gets nothing. Names that begin like a command's are asked
/// about first.
fn is_http(tokens: &Tokens<'_>) -> bool {
    let name = tokens.get(0);
    !b"gsacidt".contains(&name[0])
        && !matches!(name, b"flush_all" | b"verbosity" | b"replace" | b"prepend")
        && tokens.all().last().is_some_and(|last| last.starts_with(b"HTTP/"))
}

fn answer(tokens: &Tokens<'_>) -> Answer {
    if tokens.noreply() { Answer::Suppressed } else { Answer::Wanted }
}

pub(super) fn key(token: &[u8]) -> Key {
    Key::from_bytes(Bytes::copy_from_slice(token))
}

pub(super) fn is_too_long(token: &[u8]) -> bool {
    token.len() > KEY_BYTES_MAX
}

/// An expiry as the text protocol has it: 32 bits, signed.
pub(super) fn expiry(token: &[u8]) -> Option<Ttl> {
    signed(token).map(|seconds| Ttl(i64::from(seconds)))
}

fn get(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let name = tokens.get(0);
    let cas = matches!(name, b"gets" | b"gats");
    let mut first = 1;
    let mut touch = None;
    if matches!(name, b"gat" | b"gats") {
        let Some(ttl) = expiry(tokens.get(1)) else { return at.say(BAD_EXPIRY) };
        touch = Some(ttl);
        first = 2;
    }
    let framing = Framing::Values { cas };
    if let ([only], None) = (&tokens.all()[first..], tokens.rest())
        && !is_too_long(only)
    {
        let key = key(only);
        let command = match touch {
            Some(ttl) => CacheCommand::GetAndTouch { key, ttl },
            None => CacheCommand::Get { key },
        };
        let work = Work::One(command, MetaExtras::default());
        return at.done(Action::Run(Request { work, framing }));
    }
    let work = many(tokens, first, touch);
    at.done(Action::Run(Request { work, framing }))
}

fn many(tokens: &Tokens<'_>, first: usize, touch: Option<Ttl>) -> Work {
    let mut keys = Vec::new();
    let mut take = |tokens: &[&[u8]]| {
        for token in tokens {
            if is_too_long(token) {
                return false;
            }
            keys.push(key(token));
        }
        true
    };
    let mut fits = take(&tokens.all()[first..]);
    let mut rest = tokens.rest();
    while let (true, Some(more)) = (fits, rest) {
        let tokens = Tokens::split(more);
        fits = take(tokens.all());
        rest = tokens.rest();
    }
    Work::Many { keys, touch, too_long: !fits }
}

fn store(verb: Verb, tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = answer(tokens);
    let token = tokens.get(1);
    if is_too_long(token) {
        return at.tell(answer, BAD_LINE);
    }
    let numbers = (unsigned(tokens.get(2)), expiry(tokens.get(3)), signed(tokens.get(4)));
    let (Some(flags), Some(ttl), Some(length)) = numbers else {
        return at.tell(answer, BAD_LINE);
    };
    let verb = match verb {
        Verb::Cas(_) => match long(tokens.get(5)) {
            Some(cas) => Verb::Cas(cas),
            None => return at.tell(answer, BAD_LINE),
        },
        other => other,
    };
    let Some(length) = body_length(length) else { return at.tell(answer, BAD_LINE) };
    if item_bytes(token.len(), flags, length) > ITEM_BYTES_MAX {
        let removes = (verb == Verb::Set).then(|| key(token));
        let work = Work::TooLarge { name: store_name(verb), removes };
        let request = Request { work, framing: Framing::Classic(answer) };
        return at.done(Action::RunAndSwallow(request, length as u64 + 2));
    }
    let value = match at.body(length) {
        Err(total) => return Parsed::Incomplete(Some(total)),
        Ok(value) => value,
    };
    let whole = Line { used: at.used + length + 2, after: &[] };
    match value {
        Some(value) => {
            whole.run(CacheCommand::Store { verb, key: key(token), value, flags, ttl }, answer)
        }
        None => whole.tell(answer, BAD_CHUNK),
    }
}

/// The length of a body; negative ones and those that leave no room for its end are refused.
pub(super) fn body_length(length: i32) -> Option<usize> {
    usize::try_from(length).ok().filter(|length| *length <= i32::MAX as usize - 2)
}

fn store_name(verb: Verb) -> &'static str {
    let (key, value) = (Key::from(""), Bytes::new());
    CacheCommand::Store { verb, key, value, flags: 0, ttl: Ttl::NEVER }.name()
}

fn count(direction: Direction, tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = answer(tokens);
    if is_too_long(tokens.get(1)) {
        return at.tell(answer, BAD_LINE);
    }
    match long(tokens.get(2)) {
        Some(delta) => {
            let key = key(tokens.get(1));
            at.run(CacheCommand::Arithmetic { direction, key, delta }, answer)
        }
        None => at.tell(answer, "CLIENT_ERROR invalid numeric delta argument"),
    }
}

fn touch(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = answer(tokens);
    if is_too_long(tokens.get(1)) {
        return at.tell(answer, BAD_LINE);
    }
    match expiry(tokens.get(2)) {
        Some(ttl) => at.run(CacheCommand::Touch { key: key(tokens.get(1)), ttl }, answer),
        None => at.tell(answer, BAD_EXPIRY),
    }
}

fn delete(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = if tokens.len() > 2 { answer(tokens) } else { Answer::Wanted };
    // What is left of a hold-off time: it may be there if it is 0.
    let zero = tokens.get(2) == b"0";
    let quiet = answer == Answer::Suppressed;
    let valid = match tokens.len() {
        2 => true,
        3 => zero || quiet,
        _ => zero && quiet,
    };
    if !valid {
        let usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
        return at.tell(answer, usage);
    }
    if is_too_long(tokens.get(1)) {
        return at.tell(answer, BAD_LINE);
    }
    at.run(CacheCommand::Delete { key: key(tokens.get(1)) }, answer)
}

fn flush(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = answer(tokens);
    let bare = if answer == Answer::Suppressed { 2 } else { 1 };
    if tokens.len() == bare {
        return at.run(CacheCommand::FlushAll { delay: None }, answer);
    }
    match signed(tokens.get(1)) {
        Some(delay) => at.run(CacheCommand::FlushAll { delay: Some(i64::from(delay)) }, answer),
        None => at.tell(answer, BAD_EXPIRY),
    }
}

fn verbosity(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let text = if unsigned(tokens.get(1)).is_some() { "OK" } else { BAD_LINE };
    at.tell(answer(tokens), text)
}

fn memory_limit(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let answer = answer(tokens);
    match unsigned(tokens.get(1)) {
        None => at.tell(answer, "ERROR"),
        Some(0..8) => at.tell(answer, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"),
        Some(megabytes) if megabytes > MEGABYTES_MAX => {
            at.tell(answer, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes")
        }
        Some(megabytes) => {
            let work = Work::MemoryLimit(u64::from(megabytes) << 20);
            at.done(Action::Run(Request { work, framing: Framing::Classic(answer) }))
        }
    }
}

fn stats(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let run = |stats| {
        let framing = Framing::Classic(Answer::Wanted);
        at.done(Action::Run(Request { work: Work::Stats(stats), framing }))
    };
    match tokens.get(1) {
        b"" => run(Stats::General),
        b"settings" => run(Stats::Settings),
        b"sizes" => run(Stats::Sizes),
        b"items" => run(Stats::Items),
        b"slabs" => run(Stats::Slabs),
        b"conns" => run(Stats::Connections),
        b"reset" => run(Stats::Reset),
        b"detail" => match tokens.get(2) {
            b"on" => run(Stats::Detail(true)),
            b"off" => run(Stats::Detail(false)),
            b"dump" => run(Stats::DetailDump),
            _ => at.say("CLIENT_ERROR usage: stats detail on|off|dump"),
        },
        b"cachedump" if tokens.len() < 4 => at.say("CLIENT_ERROR bad command line"),
        b"cachedump" => match (unsigned(tokens.get(2)), unsigned(tokens.get(3))) {
            (Some(class), _) if class >= CLASSES => at.say("CLIENT_ERROR Illegal slab id"),
            (Some(class), Some(limit)) => run(Stats::CacheDump { class, limit }),
            _ => at.say(BAD_LINE),
        },
        _ => at.say("ERROR"),
    }
}

/// Only the dump of all items: the server has no background thread that could be set up.
fn crawler(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let framing = Framing::Classic(Answer::Wanted);
    match (tokens.get(1), tokens.get(2)) {
        (b"metadump", b"all" | b"hash" | b"1") if tokens.len() == 3 => {
            at.done(Action::Run(Request { work: Work::Stats(Stats::MetaDump), framing }))
        }
        _ => at.say("ERROR"),
    }
}
