//! Expiry and flushing in time: real seconds on one side, virtual ones on the other.
//!
//! Both clocks are ticks, and the real one is read before and after each batch, so every
//! reply has to be the same. Several servers age at once. Where libfaketime is installed
//! their clocks also jump by more than a second.

use std::time::{Duration, Instant};

use staleproof::seed::Seed;

use crate::generate::{Generator, Request};
use crate::pair::Pair;
use crate::server::{Server, faketime};

const SERVERS: usize = 6;
const BATCHES: usize = 14;
const BATCH: usize = 40;

struct Aging<'a> {
    pair: Pair<'a>,
    clock: std::net::TcpStream,
    server: &'a Server,
    offset: i64,
    generator: Generator,
    past: Vec<(i64, Request)>,
    /// A tick fell into a batch, or a number was doubtful: the two may differ from there on,
    /// until both begin anew.
    torn: bool,
    /// Its clock stands still: it has read the file with its time while that was changed, and
    /// lives in the past until it has caught up.
    lost: bool,
    /// Batches that were compared whole.
    compared: usize,
    /// It has counted from a number that memcached does not read reliably.
    doubtful: bool,
}

#[test]
fn model_and_memcached_age_alike() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let preload = faketime();
    let file = |number: usize| directory.path().join(number.to_string());
    let mut servers = Vec::new();
    for number in 0..SERVERS {
        let mut environment = Vec::new();
        let path = file(number).display().to_string();
        let preload = preload.as_ref().map(|path| path.display().to_string());
        if let Some(preload) = &preload {
            std::fs::write(&path, "+0\n").expect("the directory can be written");
            environment.push(("LD_PRELOAD", preload.as_str()));
            environment.push(("FAKETIME_TIMESTAMP_FILE", path.as_str()));
            environment.push(("FAKETIME_NO_CACHE", "1"));
        }
        let Some(server) = Server::start(&environment) else { return };
        servers.push(server);
    }
    println!("libfaketime: {}", preload.is_some());
    let mut aging: Vec<Aging<'_>> = servers.iter().enumerate().map(|(n, s)| begin(n, s)).collect();
    for _ in 0..BATCHES {
        let before: Vec<i64> = aging.iter_mut().map(|one| one.uptime()).collect();
        for (number, one) in aging.iter_mut().enumerate() {
            let by = one.generator.below(8);
            let by = [0, 0, 0, 0, 1, 2, 9, 99][by as usize];
            if preload.is_some() && by > 0 {
                one.offset += by;
                // In one go: a server that found the file empty would live in the past.
                let new = directory.path().join("new");
                let text = format!("+{}\n", one.offset);
                std::fs::write(&new, text).expect("the directory can be written");
                std::fs::rename(&new, file(number)).expect("the file can be replaced");
            }
        }
        for (one, before) in aging.iter_mut().zip(before) {
            one.await_tick(before);
        }
        for one in &mut aging {
            one.batch();
        }
    }
    let compared: usize = aging.iter().map(|one| one.compared).sum();
    println!("{compared} of {} batches of {BATCH} requests compared", SERVERS * BATCHES);
    assert!(compared >= BATCHES, "nearly every comparison was torn by a tick");
}

fn begin(number: usize, server: &Server) -> Aging<'_> {
    let pair = Pair::new(server);
    let clock = server.connect();
    let generator = Generator::timed(Seed(number as u64));
    Aging {
        pair,
        clock,
        server,
        offset: 0,
        generator,
        past: Vec::new(),
        torn: true,
        doubtful: false,
        lost: false,
        compared: 0,
    }
}

impl Aging<'_> {
    fn uptime(&mut self) -> i64 {
        self.server.clock(&mut self.clock).uptime
    }

    fn await_tick(&mut self, before: i64) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.lost && self.uptime() == before {
            self.lost = Instant::now() > deadline;
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn batch(&mut self) {
        if self.lost {
            return;
        }
        if self.torn {
            self.begin_anew();
        }
        let uptime = self.uptime();
        self.pair.set_uptime(uptime);
        for _ in 0..BATCH {
            let request = self.generator.request();
            self.doubtful |= self.pair.is_doubtful(&request);
            let result = self.pair.step(&request);
            self.past.push((uptime, request));
            if self.uptime() != uptime || result.is_err() && self.doubtful {
                self.torn = true;
                return;
            }
            if let Err((real, model)) = result {
                for (uptime, request) in &self.past {
                    println!("  at {uptime} s: {request}");
                }
                let readable = crate::generate::readable;
                panic!("memcached: {}\nmodel:     {}", readable(&real), readable(&model));
            }
        }
        self.compared += 1;
    }

    /// Both sides forget what was, in the same tick.
    fn begin_anew(&mut self) {
        (self.torn, self.doubtful) = (false, false);
        self.past.clear();
        loop {
            let before = self.uptime();
            self.pair.begin();
            if self.uptime() == before {
                return;
            }
        }
    }
}
