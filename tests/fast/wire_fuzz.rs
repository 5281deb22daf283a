//! Hostile input at scale: no parser panics, none wants unbounded memory, and how the bytes
//! are cut into pieces does not matter.
//!
//! `STALEPROOF_FUZZ` is the number of inputs for each protocol (default 100,000).

#![cfg(feature = "serve")]

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use staleproof::backend::Origin;
use staleproof::backend::memcached_model::{Limits, Node};
use staleproof::seed::{Purpose, Seed, below};
use staleproof::step::NodeId;
use staleproof::time::Time;
use staleproof::wire::reply::{self, Read, Reply};
use staleproof::wire::{Action, Parsed, Session, perform};

/// Beyond this nobody needs to be waited for: the largest value with its line.
const WANTED_BYTES_MAX: usize = (1 << 20) + 4096;
const VALUE_BYTES_MAX: usize = 1 << 20;

const WORDS: &[&str] = &[
    "get",
    "gets",
    "gat",
    "gats",
    "set",
    "add",
    "replace",
    "append",
    "prepend",
    "cas",
    "incr",
    "decr",
    "touch",
    "delete",
    "flush_all",
    "verbosity",
    "version",
    "stats",
    "quit",
    "mg",
    "ms",
    "md",
    "ma",
    "mn",
    "me",
    "a",
    "b",
    "k",
    "v",
    "t",
    "q",
    "s",
    "c",
    "f",
    "N30",
    "T30",
    "R30",
    "C1",
    "C5",
    "I",
    "O1",
    "ME",
    "MS",
    "MA",
    "D2",
    "J7",
    "F9",
    "b",
    "YQ==",
    "0",
    "1",
    "2",
    "5",
    "-1",
    "2147483647",
    "4294967296",
    "18446744073709551616",
    "noreply",
    "items",
    "1048576",
    "x",
];

fn count() -> u64 {
    std::env::var("STALEPROOF_FUZZ").map_or(100_000, |text| text.parse().expect("a number"))
}

struct Source(ChaCha8Rng);

impl Source {
    fn new(purpose: u64) -> Source {
        Source(Seed(purpose).stream(Purpose::Operations, purpose))
    }

    fn below(&mut self, bound: u64) -> u64 {
        below(self.0.next_u64(), bound)
    }

    fn noise(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    fn line(&mut self, into: &mut Vec<u8>) {
        for _ in 0..self.below(9) {
            let word = WORDS[self.below(WORDS.len() as u64) as usize];
            into.extend_from_slice(word.as_bytes());
            let blanks = [" ", " ", " ", " ", "  ", "\t", "\0"];
            into.extend_from_slice(blanks[self.below(7) as usize].as_bytes());
        }
        into.extend_from_slice(["\r\n", "\r\n", "\n", "\r"][self.below(4) as usize].as_bytes());
    }

    fn text(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..=self.below(6) {
            self.line(&mut bytes);
            if self.below(3) == 0 {
                bytes.extend(self.noise(6));
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.mutate(bytes)
    }

    fn packet(&mut self, magic: u8, into: &mut Vec<u8>) {
        let key = self.below(6) as u8;
        let extras = [0, 0, 4, 8, 20][self.below(5) as usize];
        let value = self.below(8) as u8;
        into.extend_from_slice(&[magic, self.below(0x26) as u8, 0, key, extras, 0, 0, 0, 0, 0, 0]);
        into.push(key + extras + value);
        into.extend((0..4).map(|_| self.below(256) as u8));
        into.extend_from_slice(&self.below(3).to_be_bytes());
        into.extend((0..key + extras + value).map(|_| self.below(3) as u8));
    }

    fn binary(&mut self, magic: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..=self.below(5) {
            self.packet(magic, &mut bytes);
        }
        self.mutate(bytes)
    }

    /// Changes a few bytes, now and then.
    fn mutate(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.below(2) == 0 {
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len() as u64) as usize;
                bytes[at] = self.below(256) as u8;
            }
        }
        bytes
    }
}

/// Serves the bytes in these pieces; gives what was answered.
fn serve(pieces: &[&[u8]]) -> Vec<u8> {
    let mut node = Node::new(NodeId(0), Limits { items: Some(100), bytes: None }, 0);
    let (mut session, mut waiting, mut out) = (Session::new(), Vec::new(), Vec::new());
    for piece in pieces {
        waiting.extend_from_slice(piece);
        loop {
            let (used, action) = match session.parse(&waiting) {
                Parsed::Incomplete(wanted) => {
                    assert!(
                        wanted.is_none_or(|wanted| wanted > waiting.len()),
                        "waits for nothing"
                    );
                    assert!(wanted.is_none_or(|wanted| wanted <= WANTED_BYTES_MAX), "wants all");
                    break;
                }
                Parsed::Done(used, action) => (used, action),
            };
            assert!((1..=waiting.len()).contains(&used), "uses what is not there");
            waiting.drain(..used);
            match action {
                Action::Run(request) => {
                    perform(&mut node, Time::ZERO, Origin::default(), &request, &mut out);
                }
                Action::Say(reply) => out.extend(reply),
                Action::Close(reply) => {
                    out.extend(reply);
                    return out;
                }
                _ => {}
            }
        }
    }
    out
}

fn survives(source: &mut Source, bytes: &[u8]) -> Vec<u8> {
    let whole = serve(&[bytes]);
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(1 + source.below(rest.len() as u64) as usize);
        pieces.push(piece);
        rest = tail;
    }
    let input = bytes.escape_ascii();
    // The process's id and such do not change within a test.
    assert_eq!(serve(&pieces), whole, "{input}");
    whole
}

#[test]
fn text_and_meta_requests_do_no_harm() {
    let mut source = Source::new(1);
    for _ in 0..count() {
        let bytes = source.text();
        let replies = survives(&mut source, &bytes);
        // What we say is what our own reader understands.
        let mut rest = replies.as_slice();
        while !rest.is_empty() && bytes[0] != 0x80 {
            match reply::text(rest, VALUE_BYTES_MAX) {
                Read::Done(used, _) => rest = &rest[used..],
                other => panic!("{other:?} in {}", replies.escape_ascii()),
            }
        }
    }
}

#[test]
fn binary_requests_do_no_harm() {
    let mut source = Source::new(2);
    for _ in 0..count() {
        let bytes = source.binary(0x80);
        let replies = survives(&mut source, &bytes);
        let mut rest = replies.as_slice();
        while !rest.is_empty() && bytes[0] == 0x80 {
            match reply::binary(rest, VALUE_BYTES_MAX) {
                Read::Done(used, Reply::Packet { .. }) => rest = &rest[used..],
                other => panic!("{other:?} in {}", replies.escape_ascii()),
            }
        }
    }
}

#[test]
fn noise_does_no_harm() {
    let mut source = Source::new(3);
    for _ in 0..count() {
        let bytes = source.noise(200);
        survives(&mut source, &bytes);
    }
}

#[test]
fn replies_do_no_harm() {
    let mut source = Source::new(4);
    for number in 0..count() {
        let bytes = match number % 3 {
            0 => source.noise(100),
            1 => source.binary(0x81),
            _ => {
                let line = ["VALUE a 0 3 9", "VA 3 W", "VA 99999999999999999999", "END", "VALUE"];
                let mut bytes = line[source.below(5) as usize].as_bytes().to_vec();
                bytes.extend_from_slice(b"\r\nabc\r\n");
                source.mutate(bytes)
            }
        };
        for read in [reply::text, reply::binary] {
            let mut rest = bytes.as_slice();
            while let Read::Done(used, _) = read(rest, VALUE_BYTES_MAX) {
                assert!((1..=rest.len()).contains(&used));
                rest = &rest[used..];
            }
        }
    }
}
