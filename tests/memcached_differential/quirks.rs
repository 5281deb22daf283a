//! Exempt from the random comparison because memcached's background threads interfere, and
//! shown here one by one.

use std::io::{Read, Write};

use staleproof::backend::Origin;
use staleproof::backend::memcached_model::{Limits, Node};
use staleproof::step::NodeId;
use staleproof::time::Time;
use staleproof::wire::{Action, Parsed, Session, perform};

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
