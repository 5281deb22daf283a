//! Random requests, most of them about items that are there.

use std::fmt;

use rand::Rng;
use staleproof::backend::memcached_model::Node;
use staleproof::seed::{Purpose, Seed, below};
use staleproof::step::Key;
use staleproof::time::Time;

use crate::malformed::LINES;

/// Connections 0 and 1 speak text, this one binary.
pub const BINARY: usize = 2;
pub const CONNECTIONS: usize = 3;
const KEYS: u64 = 5;

/// A part of a request. What depends on the run (keys, CAS ids) is filled in when it is
/// sent, so that leaving out other requests does not make nonsense of it.
#[derive(Clone, Debug)]
pub enum Piece {
    Bytes(Vec<u8>),
    Repeat(u8, usize),
    Key(u64),
    Base64Key(u64),
    Cas(u64, Token),
    BinaryCas(u64, Token),
}

/// A CAS id in relation to the one that the item has.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    Same,
    Lower,
    Higher,
    Zero,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub name: String,
    pub connection: usize,
    pub pieces: Vec<Piece>,
}

impl Request {
    /// Whether it changes a counter.
    pub fn counts(&self) -> bool {
        let names = ["incr", "decr", "ma", "binary increment", "binary decrement"];
        names.iter().any(|name| self.name.starts_with(name))
    }

    /// The first key.
    pub fn key(&self) -> Option<u64> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Key(key) | Piece::Base64Key(key) => Some(*key),
            _ => None,
        })
    }

    pub fn is_large(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Repeat(_, count) if *count > 10_000))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{} ", self.connection)?;
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => f.write_str(&readable(bytes))?,
                Piece::Repeat(byte, count) => write!(f, "<{count} x {}>", byte.escape_ascii())?,
                Piece::Key(key) => write!(f, "<key {key}>")?,
                Piece::Base64Key(key) => write!(f, "<base64 of key {key}>")?,
                Piece::Cas(key, token) | Piece::BinaryCas(key, token) => {
                    write!(f, "<cas of key {key}: {token:?}>")?;
                }
            }
        }
        Ok(())
    }
}

pub fn readable(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(400)];
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    format!("{}{more}", shown.escape_ascii())
}

/// Fills in what depends on the run.
pub struct Resolver<'a> {
    run: u64,
    node: &'a Node,
    now: Time,
}

impl<'a> Resolver<'a> {
    pub fn new(run: u64, node: &'a Node, now: Time) -> Resolver<'a> {
        Resolver { run, node, now }
    }

    fn key(&self, key: u64) -> String {
        format!("r{:09}k{key}", self.run)
    }

    pub fn name(&self, key: u64) -> Key {
        Key::from(self.key(key))
    }

    fn cas(&self, key: u64, token: Token) -> u64 {
        let entry = self.node.peek(self.now, &self.name(key));
        let cas = entry.map_or(7, |entry| entry.cas);
        match token {
            Token::Same => cas,
            Token::Lower => cas - 1,
            Token::Higher => cas + 1_000_000,
            Token::Zero => 0,
        }
    }

    pub fn resolve(&self, request: &Request) -> Vec<u8> {
        use base64::Engine;
        let mut bytes = Vec::new();
        for piece in &request.pieces {
            match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Repeat(byte, count) => bytes.resize(bytes.len() + count, *byte),
                Piece::Key(key) => bytes.extend_from_slice(self.key(*key).as_bytes()),
                Piece::Base64Key(key) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(self.key(*key));
                    bytes.extend_from_slice(text.as_bytes());
                }
                Piece::Cas(key, token) => {
                    bytes.extend_from_slice(self.cas(*key, *token).to_string().as_bytes());
                }
                Piece::BinaryCas(key, token) => {
                    bytes.extend_from_slice(&self.cas(*key, *token).to_be_bytes());
                }
            }
        }
        bytes
    }

    pub fn delete_all(&self) -> Vec<u8> {
        let line = |key| format!("delete {} noreply\r\n", self.key(key));
        (0..KEYS).map(line).collect::<String>().into_bytes().into_iter().chain(*b"mn\r\n").collect()
    }
}

/// The length of the keys that [`Resolver::key`] makes.
const KEY_BYTES: usize = 12;

/// The source of requests.
pub struct Generator {
    rng: rand_chacha::ChaCha8Rng,
    expiries: &'static [i64],
    delays: &'static [i64],
    large: bool,
    marked: u64,
}

impl Generator {
    /// Requests whose outcome does not depend on when they are executed.
    pub fn new(seed: Seed) -> Generator {
        Generator {
            rng: seed.stream(Purpose::Operations, 0),
            expiries: &[
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                10_000,
                10_000,
                20_000,
                20_000,
                2_592_000,
                4_294_967_296,
                2_592_001,
                -1,
            ],
            delays: &[0, -1, 1_000],
            large: true,
            marked: 0,
        }
    }

    /// Requests about expiry and flushing.
    pub fn timed(seed: Seed) -> Generator {
        Generator {
            rng: seed.stream(Purpose::Operations, 1),
            expiries: &[0, 1, 2, 3, 4, 10, 100, -1],
            delays: &[0, 1, 2, 3, 4, 50, 100],
            large: false,
            marked: 0,
        }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        below(self.rng.next_u64(), bound)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn request(&mut self) -> Request {
        let connection = self.below(CONNECTIONS as u64) as usize;
        if connection == BINARY {
            return self.binary();
        }
        let (name, mut pieces) = match self.below(100) {
            0..50 => self.classic(),
            50..88 => self.meta(),
            88..94 => self.malformed(),
            94 => self.flush(),
            _ => self.chatter(),
        };
        // The fence: both sides answer it, so the reply's end is known.
        pieces.push(Piece::Bytes(b"mn\r\n".to_vec()));
        Request { name, connection, pieces }
    }

    fn text(text: impl Into<String>) -> Piece {
        Piece::Bytes(text.into().into_bytes())
    }

    /// A key, mostly in plain.
    fn key(&mut self) -> u64 {
        self.below(KEYS)
    }

    fn expiry(&mut self) -> i64 {
        self.pick(self.expiries)
    }

    fn token(&mut self) -> Token {
        self.pick(&[
            Token::Same,
            Token::Same,
            Token::Same,
            Token::Lower,
            Token::Higher,
            Token::Zero,
        ])
    }

    /// A value and its length: numbers, so that counters find something, texts, and some
    /// near the limit.
    fn value(&mut self) -> (Piece, usize) {
        if self.large && self.one_in(14) {
            // On both sides of the limit for keys of 12 bytes, with and without flags; two
            // of 600 KB do not fit together.
            let count = self.pick(&[
                1_048_501, 1_048_505, 1_048_506, 1_048_576, 1_048_576, 1_048_576, 600_000, 600_000,
            ]);
            return (Piece::Repeat(b'x', count), count);
        }
        let text: Vec<u8> = match self.below(12) {
            0..4 => self.below(1_000).to_string().into_bytes(),
            4 if self.one_in(10) => b"18446744073709551615".to_vec(),
            4 => b"9223372036854770000".to_vec(),
            5 => b"99".to_vec(),
            6 => b" 7 ".to_vec(),
            7 => b"-1".to_vec(),
            8 => b"".to_vec(),
            9 => b"a\r\nb\0\xff".to_vec(),
            10 => vec![b'y'; self.below(3_000) as usize],
            _ => b"text".to_vec(),
        };
        let length = text.len();
        (Piece::Bytes(text), length)
    }

    fn noreply(&mut self) -> &'static str {
        if self.one_in(5) { " noreply" } else { "" }
    }

    fn classic(&mut self) -> (String, Vec<Piece>) {
        let key = self.key();
        match self.below(20) {
            0..8 => self.store(key),
            8..12 => self.get(key),
            12 => {
                let line = format!("{}\r\n", self.noreply());
                let zero = if self.one_in(8) { " 0" } else { "" };
                let pieces = vec![
                    Self::text("delete "),
                    Piece::Key(key),
                    Self::text(zero),
                    Self::text(line),
                ];
                ("delete".into(), pieces)
            }
            13..16 => {
                let line = format!(" {}{}\r\n", self.expiry(), self.noreply());
                ("touch".into(), vec![Self::text("touch "), Piece::Key(key), Self::text(line)])
            }
            _ => {
                let name = self.pick(&["incr", "decr"]);
                let delta = self.pick(&["1", "0", "9", "1000", "18446744073709551615"]);
                let line = format!(" {delta}{}\r\n", self.noreply());
                (
                    name.into(),
                    vec![Self::text(format!("{name} ")), Piece::Key(key), Self::text(line)],
                )
            }
        }
    }

    fn store(&mut self, key: u64) -> (String, Vec<Piece>) {
        let name =
            self.pick(&["set", "set", "set", "add", "replace", "append", "prepend", "cas", "cas"]);
        let (value, length) = self.value();
        let flags = self.pick(&["0", "0", "7", "4294967295"]);
        let line = format!(" {flags} {} {length}", self.expiry());
        let mut pieces = vec![Self::text(format!("{name} ")), Piece::Key(key), Self::text(line)];
        if name == "cas" {
            let token = self.token();
            pieces.extend([Self::text(" "), Piece::Cas(key, token)]);
        }
        let end = if length < 5_000 && self.one_in(8) { "bad\r\n" } else { "\r\n" };
        pieces.extend([Self::text(format!("{}\r\n", self.noreply())), value, Self::text(end)]);
        (name.into(), pieces)
    }

    fn get(&mut self, key: u64) -> (String, Vec<Piece>) {
        let name = self.pick(&["get", "gets", "gat", "gats"]);
        let mut pieces = vec![Self::text(format!("{name} "))];
        if name.starts_with("gat") {
            pieces.push(Self::text(format!("{} ", self.expiry())));
        }
        pieces.push(Piece::Key(key));
        let many = if self.one_in(20) { 40 } else { self.pick(&[0, 0, 0, 2]) };
        for _ in 0..many {
            let key = self.key();
            pieces.extend([Self::text(" "), Piece::Key(key)]);
        }
        if self.one_in(30) {
            pieces.extend([Self::text(" "), Piece::Repeat(b'k', 251)]);
        }
        pieces.push(Self::text("\r\n"));
        (name.into(), pieces)
    }

    /// Flags of a meta command: a random subset in random order.
    fn flags(&mut self, key: u64, letters: &[u8]) -> Vec<Piece> {
        let mut letters: Vec<u8> = letters.iter().copied().filter(|_| self.one_in(3)).collect();
        for place in (1..letters.len()).rev() {
            let other = self.below(place as u64 + 1) as usize;
            letters.swap(place, other);
        }
        let mut pieces = Vec::new();
        for letter in letters {
            let argument = match letter {
                b'T' | b'N' => self.expiry().to_string(),
                b'R' => self.pick(&[5_000, 15_000, 30_000, 0, -1]).to_string(),
                b'O' => self.pick(&["", "1", "abcdefghijklmnopqrstuvwxyz12345"]).to_owned(),
                b'F' => self.pick(&["0", "5", "4294967296"]).to_owned(),
                b'D' => self.pick(&["1", "7", "1000"]).to_owned(),
                b'J' => self.pick(&["0", "13"]).to_owned(),
                _ => String::new(),
            };
            pieces.push(Self::text(format!(" {}{argument}", letter as char)));
            if letter == b'C' {
                let token = self.token();
                pieces.push(Piece::Cas(key, token));
            }
        }
        pieces
    }

    fn meta_key(&mut self, key: u64) -> (Piece, &'static str) {
        if self.one_in(6) { (Piece::Base64Key(key), " b") } else { (Piece::Key(key), "") }
    }

    fn meta(&mut self) -> (String, Vec<Piece>) {
        // Often the one that was last marked stale, so that several see it so.
        let key = if self.one_in(3) { self.marked } else { self.key() };
        let (shown, base64) = self.meta_key(key);
        match self.below(20) {
            0..7 => {
                let mut pieces = vec![Self::text("mg "), shown, Self::text(base64)];
                let value = if self.one_in(2) { " v" } else { "" };
                pieces.push(Self::text(value));
                pieces.extend(self.flags(key, b"ktcsfhlOquNRT"));
                if self.one_in(4) {
                    let twice = pieces.clone();
                    pieces.push(Self::text("\r\n"));
                    pieces.extend(twice);
                }
                pieces.push(Self::text("\r\n"));
                ("mg".into(), pieces)
            }
            7..12 => self.meta_set(key, shown, base64),
            12..15 => {
                let mut pieces = vec![Self::text("md "), shown, Self::text(base64)];
                let stale = if !self.one_in(3) { " I" } else { "" };
                pieces.push(Self::text(stale));
                self.marked = key;
                let letters: &[u8] = if stale.is_empty() { b"qOkICT" } else { b"qOkT" };
                pieces.extend(self.flags(key, letters));
                pieces.push(Self::text("\r\n"));
                ("md".into(), pieces)
            }
            15..19 => {
                let mode = self.pick(&["", "", " MI", " M+", " MD", " M-"]);
                let mut pieces =
                    vec![Self::text("ma "), shown, Self::text(base64), Self::text(mode)];
                pieces.extend(self.flags(key, b"vktcOqCNJDT"));
                pieces.push(Self::text("\r\n"));
                ("ma".into(), pieces)
            }
            _ => (
                "me".into(),
                vec![Self::text("me "), shown, Self::text(base64), Self::text("\r\n")],
            ),
        }
    }

    fn meta_set(&mut self, key: u64, shown: Piece, base64: &str) -> (String, Vec<Piece>) {
        let (value, length) = self.value();
        let mode = self.pick(&["", "", " MS", " ME", " MR", " MA", " MP"]);
        let line = format!(" {length}{base64}{mode}");
        let mut pieces = vec![Self::text("ms "), shown, Self::text(line)];
        pieces.extend(self.flags(key, b"qOkcICTF"));
        let end = if length < 5_000 && self.one_in(8) { "bad\r\n" } else { "\r\n" };
        pieces.extend([Self::text("\r\n"), value, Self::text(end)]);
        (format!("ms{mode}"), pieces)
    }

    fn flush(&mut self) -> (String, Vec<Piece>) {
        let delay = self.pick(self.delays);
        let line = match self.below(3) {
            0 => format!("flush_all{}\r\n", self.noreply()),
            1 => format!("flush_all {delay}\r\n"),
            _ => format!("flush_all {delay}{}\r\n", self.noreply()),
        };
        let mut pieces = Vec::new();
        if line.contains(|c: char| c.is_ascii_digit() && c != '0') {
            // See `exempt.rs`: what an earlier flush has hidden must have been removed.
            pieces.push(Self::text("get"));
            pieces.extend((0..KEYS).flat_map(|key| [Self::text(" "), Piece::Key(key)]));
            pieces.push(Self::text("\r\n"));
        }
        pieces.push(Self::text(line));
        ("flush_all".into(), pieces)
    }

    fn chatter(&mut self) -> (String, Vec<Piece>) {
        let line =
            self.pick(&["version", "verbosity 1", "verbosity 0 noreply", "mn", "stats reset"]);
        let name = line.split(' ').next().unwrap_or_default();
        (name.to_owned(), vec![Self::text(format!("{line}\r\n"))])
    }

    /// Lines that are wrong in one way or another. A body that follows must not be taken
    /// for the fence, so it always has its own line.
    fn malformed(&mut self) -> (String, Vec<Piece>) {
        let key = self.key();
        let long = "k".repeat(251);
        let line = self.pick(LINES);
        let mut pieces = Vec::new();
        let mut rest = line;
        while let Some(open) = rest.find('{') {
            pieces.push(Self::text(&rest[..open]));
            pieces.push(match &rest[open..open + 3] {
                "{k}" => Piece::Key(key),
                "{l}" => Self::text(long.clone()),
                _ => Piece::Repeat(b'z', 3_000),
            });
            rest = &rest[open + 3..];
        }
        pieces.push(Self::text(rest));
        let name = line.split([' ', '\r']).next().unwrap_or_default();
        (format!("malformed {name}"), pieces)
    }

    fn packet(&mut self, opcode: u8, key: Option<u64>, parts: Parts) -> Vec<Piece> {
        let key_bytes = if key.is_some() { KEY_BYTES } else { 0 };
        let body = parts.extras.len() + key_bytes + parts.value.1;
        let mut head = vec![0x80, opcode, 0, key_bytes as u8, parts.extras.len() as u8, 0, 0, 0];
        head.extend((body as u32).to_be_bytes());
        head.extend((self.below(1 << 32) as u32).to_be_bytes());
        let cas = match (key, parts.cas) {
            (Some(key), Some(token)) => Piece::BinaryCas(key, token),
            _ => Piece::Bytes(vec![0; 8]),
        };
        let mut pieces = vec![Piece::Bytes(head), cas, Piece::Bytes(parts.extras)];
        pieces.extend(key.map(Piece::Key));
        pieces.push(parts.value.0);
        pieces
    }

    fn binary(&mut self) -> Request {
        let key = self.key();
        let quiet = self.one_in(3);
        let pick = |loud, hush| if quiet { hush } else { loud };
        let ttl = (self.expiry() as u32).to_be_bytes();
        let cas = self.one_in(2).then(|| self.token());
        let (name, opcode, parts) = match self.below(24) {
            0..5 => ("get", pick(0x00, 0x09), Parts::default()),
            5 => ("getk", pick(0x0c, 0x0d), Parts::default()),
            6..13 => {
                let (name, loud) = self.pick(&[("set", 1), ("set", 1), ("add", 2), ("replace", 3)]);
                let flags = self.pick(&[0u32, 9]).to_be_bytes();
                let extras = [flags, ttl].concat();
                let value = self.value();
                (name, pick(loud, loud + 0x10), Parts { extras, value, cas })
            }
            13 | 14 => {
                let (name, loud) = self.pick(&[("append", 0x0e), ("prepend", 0x0f)]);
                let too_large = (Piece::Repeat(b'x', 1_048_576), 1_048_576);
                let large = self.large && self.one_in(8);
                let value = if large { too_large } else { self.value() };
                (name, pick(loud, loud + 0x0b), Parts { value, cas, ..Parts::default() })
            }
            15 | 16 => ("delete", pick(0x04, 0x14), Parts { cas, ..Parts::default() }),
            17..20 => {
                let (name, loud) = self.pick(&[("increment", 5), ("decrement", 6)]);
                let delta = self.pick(&[1u64, 1_000, u64::MAX]).to_be_bytes();
                let initial = self.pick(&[0u64, 12]).to_be_bytes();
                let expiry = if self.one_in(3) { [0xff; 4] } else { ttl };
                let extras = [delta.as_slice(), &initial, &expiry].concat();
                (name, pick(loud, loud + 0x10), Parts { extras, cas, ..Parts::default() })
            }
            20 => ("touch", 0x1c, Parts { extras: ttl.to_vec(), ..Parts::default() }),
            21 => ("gat", pick(0x1d, 0x1e), Parts { extras: ttl.to_vec(), ..Parts::default() }),
            22 => ("gatk", pick(0x23, 0x24), Parts { extras: ttl.to_vec(), ..Parts::default() }),
            _ => return self.binary_chatter(),
        };
        self.fenced(
            &format!("binary {name}{}", if quiet { " quiet" } else { "" }),
            opcode,
            Some(key),
            parts,
        )
    }

    fn binary_chatter(&mut self) -> Request {
        let key = self.key();
        let bare = Parts::default;
        let extras = |count| Parts { extras: vec![0; count], ..Parts::default() };
        match self.below(10) {
            0 => self.fenced("binary version", 0x0b, None, bare()),
            1 => {
                let delay = (self.pick(self.delays).max(0) as u32).to_be_bytes();
                let parts = Parts { extras: delay.to_vec(), ..bare() };
                let mut pieces: Vec<Piece> =
                    (0..KEYS).flat_map(|key| self.packet(0x09, Some(key), bare())).collect();
                let request = self.fenced("binary flush", 0x08, None, parts);
                pieces.extend(request.pieces);
                Request { pieces, ..request }
            }
            2 => self.fenced("binary flush quiet", 0x18, None, bare()),
            3 => {
                let opcode = self.pick(&[0x07, 0x17]);
                self.fenced("binary quit", opcode, None, bare())
            }
            4 => self.fenced("binary unknown", 0x55, None, bare()),
            5 => self.fenced("binary sasl list", 0x20, None, bare()),
            6 => self.fenced("malformed get", 0x00, Some(key), extras(4)),
            7 => self.fenced("malformed set", 0x01, Some(key), extras(4)),
            8 => self.fenced("malformed delete", 0x04, None, bare()),
            _ => {
                let heads: [[u8; 12]; 3] = [
                    [0x80, 0x00, 0x01, 0x00, 0, 0, 0, 0, 0, 0, 1, 0],
                    [0x80, 0x00, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 1],
                    [0x7f, 0x00, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0, 0],
                ];
                let mut bytes = self.pick(&heads).to_vec();
                bytes.resize(24 + 256, 0);
                // Behind a good request, so that the connection is known to speak binary.
                let mut pieces = self.packet(0x0a, None, Parts::default());
                pieces.push(Piece::Bytes(bytes));
                Request { name: "malformed header".into(), connection: BINARY, pieces }
            }
        }
    }

    fn fenced(&mut self, name: &str, opcode: u8, key: Option<u64>, parts: Parts) -> Request {
        let mut pieces = self.packet(opcode, key, parts);
        pieces.extend(self.packet(0x0a, None, Parts::default()));
        Request { name: name.to_owned(), connection: BINARY, pieces }
    }
}

struct Parts {
    extras: Vec<u8>,
    value: (Piece, usize),
    cas: Option<Token>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { extras: Vec::new(), value: (Piece::Bytes(Vec::new()), 0), cas: None }
    }
}
