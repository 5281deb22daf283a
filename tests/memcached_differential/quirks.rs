//! Exempt from the random comparison because memcached's background threads interfere, and
//! shown here one by one.

use std::io::{Read, Write};

use staleproof::backend::Origin;
use staleproof::backend::memcached_model::{Limits, Node};
use staleproof::step::NodeId;
use staleproof::time::Time;
use staleproof::wire::{Action, Parsed, Session, perform};

use crate::generate::{Piece, Request};
use crate::pair::Pair;
use crate::server::Server;

/// What the model answers to all of it.
fn model(mut bytes: &[u8]) -> String {
    let mut node = Node::new(NodeId(0), Limits::default(), 0);
    let (mut session, mut out) = (Session::new(), Vec::new());
    while let Parsed::Done(used, action) = session.parse(bytes) {
        bytes = &bytes[used..];
        if let Action::Run(request) = action {
            perform(&mut node, Time::ZERO, Origin::default(), &request, &mut out);
        }
    }
    String::from_utf8(out).expect("replies are text")
}

#[test]
fn a_second_flush_with_a_delay_brings_back_what_the_first_one_hid() {
    let Some(server) = Server::start(&[]) else { return };
    let script = b"flush_all\r\nset a 0 0 1\r\nx\r\nflush_all\r\nflush_all 100\r\nget a\r\n";
    let expected = model(script);
    assert!(expected.ends_with("VALUE a 0 1\r\nx\r\nEND\r\n"), "{expected}");
    // The background thread may come between, so one of a few tries must show it.
    let shown = (0..5).any(|_| {
        let mut stream = server.connect();
        stream.write_all(script).expect("memcached reads");
        let mut reply = Vec::new();
        let mut buffer = [0; 256];
        while !reply.ends_with(b"END\r\n") {
            let count = stream.read(&mut buffer).expect("memcached answers");
            reply.extend_from_slice(&buffer[..count]);
        }
        reply == expected.as_bytes()
    });
    assert!(shown, "memcached never brought it back");
}

#[test]
fn an_unknown_opcode_with_a_key_puts_both_out_of_step() {
    let Some(server) = Server::start(&[]) else { return };
    let unknown = [&[0x80, 0x55, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 12], b"k"].concat();
    let noop = [&[0x80, 0x0a][..], &[0; 22]].concat();
    let script = [unknown.as_slice(), &noop, &noop].concat();
    let (mut session, mut ours, mut rest) = (Session::new(), Vec::new(), script.as_slice());
    let closed = loop {
        let Parsed::Done(used, action) = session.parse(rest) else { break false };
        rest = &rest[used..];
        match action {
            Action::Say(reply) => ours.extend(reply),
            Action::Close(_) => break true,
            _ => {}
        }
    };
    assert!(closed && ours.ends_with(b"Unknown command"), "{}", ours.escape_ascii());
    let mut stream = server.connect();
    stream.write_all(&script).expect("memcached reads");
    let mut real = Vec::new();
    // What is unread when it closes the connection can reset it.
    let _ = stream.read_to_end(&mut real);
    assert!(ours.starts_with(&real), "{}", real.escape_ascii());
}

/// memcached 1.6.18 looks for a minus sign behind a number of 2^63 or more, as far as the
/// memory that an earlier item has left there.
#[test]
fn a_large_number_may_be_refused_for_what_lay_in_its_memory_before() {
    let Some(server) = Server::start(&[]) else { return };
    let request = |name: &str, key, rest: &str| Request {
        name: name.to_owned(),
        connection: 0,
        pieces: vec![
            Piece::Bytes(format!("{name} ").into_bytes()),
            Piece::Key(key),
            Piece::Bytes(format!("{rest}\r\nmn\r\n").into_bytes()),
        ],
    };
    let fill = "-".repeat(24);
    for value in ["18446744073709551615", "9223372036854775808 7", "\u{b}+9223372036854775808"] {
        let requests = [
            request("set", 0, &format!(" 0 0 {}\r\n{fill}", fill.len())),
            request("delete", 0, ""),
            request("set", 1, &format!(" 0 0 {}\r\n{value}", value.len())),
            request("decr", 1, " 1000"),
        ];
        let mut pair = Pair::new(&server);
        pair.begin();
        for request in &requests[..3] {
            pair.step(request).expect("both store and delete alike");
        }
        assert!(pair.is_doubtful(&requests[3]), "{value:?}");
        let (real, model) = pair.step(&requests[3]).expect_err(value);
        assert!(real.starts_with(b"CLIENT_ERROR cannot increment"), "{}", real.escape_ascii());
        assert!(model[0].is_ascii_digit(), "{}", model.escape_ascii());
        pair.run(&requests, None).expect("it is exempt");
    }
}
