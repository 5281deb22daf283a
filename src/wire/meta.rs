//! The meta commands, from bytes.

use bytes::Bytes;

use super::classic::{BAD_CHUNK, BAD_LINE, Line, body_length, expiry, is_too_long, key};
use super::request::{Framing, MetaFraming, Request, Work};
use super::session::{Action, Parsed};
use super::tokens::{Tokens, long, signed, unsigned};
use crate::backend::memcached_model::{ITEM_BYTES_MAX, MetaExtras, item_bytes};
use crate::step::{
    CacheCommand, Direction, Key, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, Ttl,
};

/// More tokens than this are too many for a meta command.
const TOKENS_MAX: usize = 19;
/// The longest opaque flag, with its letter.
const OPAQUE_BYTES_MAX: usize = 32;
const OPAQUE_TOO_LONG: &str = "CLIENT_ERROR opaque token too long";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format";
const BAD_FLAG: &str = "CLIENT_ERROR invalid or duplicate flag";

/// The flags of a request, whatever its command.
#[derive(Default)]
struct Flags<'a> {
    key: Option<Bytes>,
    letters: Vec<u8>,
    opaque: &'a [u8],
    vivify: Option<Ttl>,
    touch: Option<Ttl>,
    recache: Option<Ttl>,
    client_flags: u32,
    cas: Option<u64>,
    mode: Option<u8>,
    initial: u64,
    delta: Option<u64>,
    invalidate: bool,
    quiet: bool,
    value: bool,
    no_bump: bool,
    base64_key: bool,
}

/// What a meta command of this letter leads to.
pub(super) fn parse(letter: u8, tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    match letter {
        b'g' => get(tokens, at),
        b's' => set(tokens, at),
        b'd' => delete(tokens, at),
        b'a' => arithmetic(tokens, at),
        b'e' => inspect(tokens, at),
        b'n' => at.say("MN"),
        _ => at.say("ERROR"),
    }
}

/// What is wrong before the flags are looked at.
fn refused(tokens: &Tokens<'_>, too_many: &'static str) -> Option<&'static str> {
    if tokens.len() < 2 {
        Some("ERROR")
    } else if is_too_long(tokens.get(1)) {
        Some(BAD_LINE)
    } else if tokens.len() + 1 > TOKENS_MAX + 1 || tokens.rest().is_some() {
        Some(too_many)
    } else {
        None
    }
}

impl<'a> Flags<'a> {
    /// Reads the flags from the `first` token on. A flag with a bad argument is told only
    /// when no later flag is unknown or there twice; of several the last one is told.
    fn read(tokens: &Tokens<'a>, first: usize) -> Result<Flags<'a>, &'static str> {
        let mut flags = Flags::default();
        let mut seen: u128 = 0;
        let mut problem = None;
        let tail = tokens.all().get(first..).unwrap_or_default();
        for token in tail {
            let letter = token[0];
            if letter >= 127 || seen >> letter & 1 == 1 {
                return Err("CLIENT_ERROR duplicate flag");
            }
            seen |= 1 << letter;
            if let Some(text) = flags.take(letter, token, tokens.get(1))? {
                problem = Some(text);
            }
            flags.letters.push(letter);
        }
        problem.map_or(Ok(flags), Err)
    }

    /// Takes one flag: an unknown one ends the reading, a bad argument does not.
    fn take(
        &mut self,
        letter: u8,
        token: &'a [u8],
        key: &[u8],
    ) -> Result<Option<&'static str>, &'static str> {
        let argument = &token[1..];
        let problem = match letter {
            b'b' => {
                self.base64_key = true;
                self.key = from_base64(key).map(Bytes::from);
                self.key.is_none().then_some("CLIENT_ERROR error decoding key")
            }
            b'N' => keep(expiry(argument), &mut self.vivify, BAD_TOKEN),
            b'T' => keep(expiry(argument), &mut self.touch, BAD_TOKEN),
            b'R' => keep(expiry(argument), &mut self.recache, BAD_TOKEN),
            b'C' => keep(long(argument), &mut self.cas, BAD_TOKEN),
            b'F' => match unsigned(argument) {
                Some(flags) => {
                    self.client_flags = flags;
                    None
                }
                None => Some(BAD_LINE),
            },
            b'M' if argument.len() != 1 => Some("CLIENT_ERROR incorrect length for M token"),
            b'M' => {
                self.mode = Some(argument[0]);
                None
            }
            b'J' => match long(argument) {
                Some(initial) => {
                    self.initial = initial;
                    None
                }
                None => Some("CLIENT_ERROR invalid numeric initial value"),
            },
            b'D' => {
                keep(long(argument), &mut self.delta, "CLIENT_ERROR invalid numeric delta value")
            }
            b'O' => {
                self.opaque = token;
                None
            }
            other => {
                match other {
                    b'I' => self.invalidate = true,
                    b'q' => self.quiet = true,
                    b'v' => self.value = true,
                    b'u' => self.no_bump = true,
                    b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'l' | b'h' => {}
                    _ => return Err("CLIENT_ERROR invalid flag"),
                }
                None
            }
        };
        Ok(problem)
    }

    fn key(&self, tokens: &Tokens<'_>) -> Key {
        match &self.key {
            Some(decoded) => Key::from_bytes(decoded.clone()),
            None => key(tokens.get(1)),
        }
    }

    fn extras(&self) -> MetaExtras {
        let place = |letter| self.letters.iter().position(|l| *l == letter);
        let before = |other| match (place(b'T'), place(other)) {
            (Some(touch), Some(other)) => touch < other,
            _ => false,
        };
        MetaExtras {
            touch_before_vivify: before(b'N'),
            touch_before_recache: before(b'R'),
            no_bump: self.no_bump,
            base64_key: self.base64_key,
        }
    }

    fn opaque_is_too_long(&self) -> bool {
        self.opaque.len() > OPAQUE_BYTES_MAX
    }

    fn request(self, command: CacheCommand) -> Request {
        let extras = self.extras();
        Request {
            work: Work::One(command, extras),
            framing: Framing::Meta(MetaFraming {
                letters: self.letters,
                opaque: Bytes::copy_from_slice(self.opaque),
                quiet: self.quiet,
                value: self.value,
                base64_key: self.base64_key,
            }),
        }
    }
}

/// Keeps an argument, or says what is wrong with it.
fn keep<T>(read: Option<T>, into: &mut Option<T>, wrong: &'static str) -> Option<&'static str> {
    let problem = read.is_none().then_some(wrong);
    *into = read;
    problem
}

fn get(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    if let Some(text) = refused(tokens, "CLIENT_ERROR options flags are too long") {
        return at.say(text);
    }
    let flags = match Flags::read(tokens, 2) {
        Ok(flags) => flags,
        Err(text) => return at.say(text),
    };
    if flags.opaque_is_too_long() {
        return at.say(OPAQUE_TOO_LONG);
    }
    let command = CacheCommand::MetaGet(MetaGet {
        key: flags.key(tokens),
        vivify: flags.vivify,
        recache: flags.recache,
        touch: flags.touch,
        peek: false,
    });
    at.done(Action::Run(flags.request(command)))
}

fn set(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    let too_few = (tokens.len() == 2 && !is_too_long(tokens.get(1))).then_some(BAD_LINE);
    if let Some(text) = too_few.or(refused(tokens, "CLIENT_ERROR options flags too long")) {
        return at.say(text);
    }
    let Some(length) = signed(tokens.get(2)).and_then(body_length) else {
        return at.say(BAD_LINE);
    };
    let swallow = |text: &str| {
        let reply = [text.as_bytes(), b"\r\n"].concat();
        at.done(Action::SayAndSwallow(reply, length as u64 + 2))
    };
    let flags = match Flags::read(tokens, 3) {
        Ok(flags) => flags,
        Err(text) => return swallow(text),
    };
    let mode = match flags.mode {
        None | Some(b'S') => MetaMode::Set,
        Some(b'E') => MetaMode::Add,
        Some(b'A') => MetaMode::Append,
        Some(b'P') => MetaMode::Prepend,
        Some(b'R') => MetaMode::Replace,
        Some(_) => return swallow("CLIENT_ERROR invalid mode for ms M token"),
    };
    if flags.opaque_is_too_long() {
        return swallow(OPAQUE_TOO_LONG);
    }
    let key = flags.key(tokens);
    if item_bytes(key.as_bytes().len(), flags.client_flags, length) > ITEM_BYTES_MAX {
        let mut request = flags.request(CacheCommand::Version);
        request.work = Work::TooLarge { name: "meta-set", removes: Some(key) };
        return at.done(Action::RunAndSwallow(request, length as u64 + 2));
    }
    let value = match at.body(length) {
        Err(total) => return Parsed::Incomplete(Some(total)),
        Ok(value) => value,
    };
    let whole = Line { used: at.used + length + 2, after: &[] };
    let Some(value) = value else { return whole.say(BAD_CHUNK) };
    let command = CacheCommand::MetaSet(MetaSet {
        key,
        value,
        flags: flags.client_flags,
        ttl: flags.touch.unwrap_or(Ttl::NEVER),
        mode,
        cas: flags.cas,
        invalidate: flags.invalidate,
        vivify: flags.vivify,
    });
    whole.done(Action::Run(flags.request(command)))
}

fn delete(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    if let Some(text) = refused(tokens, "CLIENT_ERROR options flags too long") {
        return at.say(text);
    }
    let Ok(flags) = Flags::read(tokens, 2) else { return at.say(BAD_FLAG) };
    if flags.opaque_is_too_long() {
        return at.say(OPAQUE_TOO_LONG);
    }
    let command = CacheCommand::MetaDelete(MetaDelete {
        key: flags.key(tokens),
        cas: flags.cas,
        invalidate: flags.invalidate,
        ttl: flags.touch,
    });
    at.done(Action::Run(flags.request(command)))
}

fn arithmetic(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    if let Some(text) = refused(tokens, "CLIENT_ERROR options flags too long") {
        return at.say(text);
    }
    let Ok(flags) = Flags::read(tokens, 2) else { return at.say(BAD_FLAG) };
    let direction = match flags.mode {
        None | Some(b'I' | b'+') => Direction::Increment,
        Some(b'D' | b'-') => Direction::Decrement,
        Some(_) => return at.say("CLIENT_ERROR invalid mode for ma M token"),
    };
    if flags.opaque_is_too_long() {
        return at.say(OPAQUE_TOO_LONG);
    }
    let command = CacheCommand::MetaArithmetic(MetaArithmetic {
        key: flags.key(tokens),
        direction,
        delta: flags.delta.unwrap_or(1),
        vivify: flags.vivify,
        initial: flags.initial,
        ttl: flags.touch,
        cas: flags.cas,
    });
    at.done(Action::Run(flags.request(command)))
}

fn inspect(tokens: &Tokens<'_>, at: Line<'_>) -> Parsed {
    if tokens.len() < 2 || is_too_long(tokens.get(1)) {
        return at.say(BAD_LINE);
    }
    let mut flags = Flags::default();
    if tokens.get(2) == b"b" {
        flags.key = from_base64(tokens.get(1)).map(Bytes::from);
        if flags.key.is_none() {
            return at.say(BAD_LINE);
        }
    }
    let key = flags.key(tokens);
    let mut request = flags.request(CacheCommand::Version);
    request.work = Work::Inspect { key };
    at.done(Action::Run(request))
}

/// Decodes base64 as memcached does: what is not of the alphabet is skipped, the rest must
/// be a multiple of four, and what follows the padding is ignored.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| digit(*byte).is_some()).collect();
    if digits.is_empty() || !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for four in digits.chunks_exact(4) {
        let bits =
            four.iter().fold(0, |bits, byte| bits << 6 | u32::from(digit(*byte).unwrap_or(0)));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
        match four.iter().filter(|byte| **byte == b'=').count() {
            0 => {}
            padding @ 1..=2 => {
                bytes.truncate(bytes.len() - padding);
                break;
            }
            _ => return None,
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        b'=' => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_is_as_lenient_as_memcached() {
        for (text, bytes) in [
            ("YWI=", Some("ab")),
            ("Y!WI=", Some("ab")),
            ("YQ==", Some("a")),
            ("YWJj", Some("abc")),
            ("YWI", None),
            ("!!!!", None),
            ("====", None),
            ("", None),
        ] {
            assert_eq!(from_base64(text.as_bytes()).as_deref(), bytes.map(str::as_bytes), "{text}");
        }
    }
}
