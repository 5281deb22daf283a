//! What exploration means, written a second time: a memcached, a database of one statement a
//! write, clients, and every schedule of a program, one after the other. It shares nothing with
//! the tool, merges nothing and leaves nothing out.
//!
//! A schedule is an order of effects with an outcome for each expiry. Times are unknowns: each
//! choice adds bounds on differences of two of them, and a schedule counts only while
//! Bellman-Ford finds times that keep all bounds. Start reading at [`Program::explore`].

use super::program::{Clock, Do, End, Explored, Fault, Program, Told};
use super::servers::{By, Item};
use super::strategy::{Answer, Memory, Next};
use super::times::Times;

/// How long a process that died is away.
const RESTART: i64 = 10;

/// A step that is to be sent `pause` after its client was told something at `told`.
#[derive(Clone, Copy)]
struct Step {
    what: Do,
    told: usize,
    pause: i64,
    first: bool,
}

#[derive(Clone, Default)]
struct Client {
    memory: Memory,
    step: Option<Step>,
    /// The last step that took effect, and how long after `Step::told` its reply is too late.
    last: Option<(Step, i64)>,
    /// When it was last told something.
    heard: usize,
    told: Vec<Told>,
}

#[derive(Clone, Default)]
pub struct World {
    clients: Vec<Client>,
    pub rows: Vec<(u8, bool)>,
    pub items: Vec<Option<Item>>,
    /// What a process had sent that died.
    late: Vec<(Step, bool, Memory, By)>,
    pub tokens: u32,
    faults: u8,
    pauses: u8,
    pub times: Times,
    /// The last effect, and a tick of the node.
    pub now: usize,
    pub tick: Option<usize>,
    pub unseen: Vec<(usize, usize, usize)>,
    pub expired: bool,
    slept: bool,
}

impl Program {
    /// Every schedule; `None` when there are more than so many.
    pub fn explore(&self, schedules_max: u64) -> Option<Explored> {
        let mut explored = Explored::default();
        let mut open = vec![self.start()];
        while let Some(world) = open.pop() {
            if !world.late.is_empty() || world.clients.iter().any(|client| client.step.is_some()) {
                self.choices(&world, &mut open);
                continue;
            }
            explored.schedules += 1;
            if explored.schedules > schedules_max {
                return None;
            }
            explored.faulted |= self.fault.is_some() && world.faults == 0;
            explored.expired |= world.expired;
            explored.slept |= world.slept;
            explored.ends.extend(self.ends(world));
        }
        Some(explored)
    }

    fn start(&self) -> World {
        let mut world = World {
            clients: vec![Client::default(); self.clients.len()],
            rows: vec![(0, false); self.rows],
            items: vec![None; 2 * self.rows],
            faults: u8::from(self.fault.is_some()),
            pauses: if self.clock == Clock::Off { 0 } else { self.pauses },
            ..World::default()
        };
        let first = world.point();
        for client in 0..self.clients.len() {
            let start = if self.together { first } else { world.point() };
            let most = self.units(self.horizon());
            self.bound(&mut world, start, first, most);
            self.bound(&mut world, first, start, most);
            self.begin(&mut world, client, start, 0);
        }
        world
    }

    /// All that can happen next.
    fn choices(&self, world: &World, open: &mut Vec<World>) {
        for client in 0..world.clients.len() {
            let Some(Step { what, .. }) = world.clients[client].step else { continue };
            for lifted in [false, true].into_iter().take(1 + usize::from(world.pauses > 0)) {
                open.extend(self.step(world, client, lifted, false));
                if let Some(Fault::LoseReply(steps)) = self.fault
                    && world.faults > 0
                    && steps.contains(&what)
                {
                    open.extend(self.step(world, client, lifted, true));
                }
            }
        }
        for place in 0..world.late.len() {
            let mut world = world.clone();
            let (step, lifted, mut memory, by) = world.late.remove(place);
            let Some(world) = self.take_effect(world, step, lifted) else { continue };
            let mut worlds = self.look(world, memory.row, step.what);
            for world in &mut worlds {
                self.serve(world, step.what, &mut memory, by);
            }
            open.extend(worlds);
        }
        if matches!(self.fault, Some(Fault::Crash { .. })) && world.faults > 0 {
            (0..self.processes).for_each(|process| open.extend(self.crash(world, process)));
        }
    }

    /// A client's step takes effect; its reply comes in time, or the client waits for just so
    /// long in vain.
    fn step(&self, world: &World, client: usize, lifted: bool, lost: bool) -> Vec<World> {
        let mut world = world.clone();
        let step = world.clients[client].step.take().expect("the client has a step");
        world.pauses -= u8::from(lifted);
        world.faults -= u8::from(lost);
        world.slept |= step.pause > 0 && !step.first;
        let mut memory = world.clients[client].memory;
        if step.first {
            memory.known = world.rows[memory.row].0;
        }
        let Some(mut world) = self.take_effect(world, step, lifted) else { return Vec::new() };
        let (effect, reply) = (world.now, world.point());
        let latest = self.latest(step, lifted);
        let timeout = self.units(step.pause + self.timeout(step.what));
        let bounds = [
            (effect, reply, 0),
            (reply, step.told, latest - i64::from(!lost)),
            (step.told, reply, if lost { -timeout } else { 0 }),
        ];
        if !bounds.into_iter().all(|(a, b, most)| self.bound(&mut world, a, b, most)) {
            return Vec::new();
        }
        world.clients[client].last = Some((step, latest));
        world.clients[client].heard = reply;
        let by = (client, world.clients[client].told.len());
        let mut worlds = self.look(world, memory.row, step.what);
        for world in &mut worlds {
            let mut memory = memory;
            let answer = self.serve(world, step.what, &mut memory, by);
            let answer = if lost { Answer::Timeout } else { answer };
            match self.next(&mut memory, step.what, answer) {
                Next::Return(told) => {
                    world.clients[client].told.push(told);
                    self.begin(world, client, reply, 0);
                }
                Next::Step(what, pause) => {
                    world.clients[client].memory = memory;
                    let step = Step { what, told: reply, pause, first: false };
                    world.clients[client].step = Some(step);
                }
            }
        }
        worlds
    }

    /// The next operation of a client begins, `away` after it was told something or more.
    fn begin(&self, world: &mut World, client: usize, told: usize, away: i64) {
        let state = &mut world.clients[client];
        state.heard = told;
        let Some(ask) = self.clients[client].get(state.told.len()) else {
            state.step = None;
            return;
        };
        state.memory = Memory::of(*ask);
        let what = self.first(&state.memory);
        state.step = Some(Step { what, told, pause: ask.pause.max(away), first: true });
    }

    pub fn units(&self, time: i64) -> i64 {
        if let Clock::On { grain, .. } = self.clock { time * grain } else { time }
    }

    fn timeout(&self, what: Do) -> i64 {
        let database = matches!(what, Do::Select | Do::Write);
        if database { self.database_timeout } else { self.cache_timeout }
    }

    /// Longer than all operations and an item together: waiting longer changes nothing.
    fn horizon(&self) -> i64 {
        let Clock::On { second, .. } = self.clock else { return 0 };
        let of_one = 8 * (self.cache_timeout + super::strategy::LEASE_WAIT)
            + 2 * self.database_timeout
            + RESTART
            + self.delay;
        let asks = self.clients.iter().flatten();
        let ttl = (self.ttl.max(self.lease_ttl) + 2) * second;
        asks.map(|ask| ask.pause + of_one).sum::<i64>() + ttl
    }

    /// From when on, after its client was told something, a step's reply comes too late.
    fn latest(&self, step: Step, lifted: bool) -> i64 {
        let slack = if lifted { self.horizon() } else { 0 };
        self.units(step.pause + self.timeout(step.what) + slack)
    }

    fn bound(&self, world: &mut World, a: usize, b: usize, most: i64) -> bool {
        self.clock == Clock::Off || world.times.bound(a, b, most)
    }

    /// Effects are enumerated in the order of their times.
    fn take_effect(&self, mut world: World, step: Step, lifted: bool) -> Option<World> {
        let before = world.now;
        world.now = world.point();
        let now = world.now;
        let sent = self.units(step.pause);
        (self.bound(&mut world, before, now, 0)
            && self.bound(&mut world, step.told, now, -sent)
            && self.bound(&mut world, now, step.told, self.latest(step, lifted) - 1))
        .then_some(world)
    }

    /// A process dies while it has something under way. Of each of its clients the last reply may
    /// be outstanding; else it pauses, or its step is under way and is dropped or still lands.
    fn crash(&self, world: &World, process: usize) -> Vec<World> {
        let mut world = world.clone();
        let (before, dies) = (world.now, world.point());
        world.now = dies;
        world.faults -= 1;
        if !self.bound(&mut world, before, dies, 0) {
            return Vec::new();
        }
        let mut worlds = vec![(world, false)];
        for client in (0..self.clients.len()).filter(|c| c % self.processes == process) {
            let old = std::mem::take(&mut worlds);
            for (world, hurt) in old {
                let ways = self.die(world, client, dies);
                worlds.extend(ways.into_iter().map(|(world, hurts)| (world, hurt || hurts)));
            }
        }
        worlds.into_iter().filter(|(_, hurt)| *hurt).map(|(world, _)| world).collect()
    }

    /// The ways in which a crash meets a client, and whether it took a begun operation.
    fn die(&self, world: World, client: usize, dies: usize) -> Vec<(World, bool)> {
        let Client { step, last, memory, .. } = world.clients[client];
        let mut ways = Vec::new();
        if let Some((last, latest)) = last {
            let mut world = world.clone();
            if self.bound(&mut world, dies, last.told, latest - 1) {
                if step.is_none_or(|step| step.first) {
                    world.clients[client].told.pop();
                }
                ways.push((self.lose(world, client, dies), true));
            }
        }
        let Some(step) = step else {
            ways.push((world, false));
            return ways;
        };
        let mut heard = world;
        if !self.bound(&mut heard, step.told, dies, 0) {
            return ways;
        }
        let sent = self.units(step.pause);
        let mut pausing = heard.clone();
        if step.pause > 0 && self.bound(&mut pausing, dies, step.told, sent - 1) {
            ways.push(match step.first {
                true => (pausing, false),
                false => (self.lose(pausing, client, dies), true),
            });
        }
        for lifted in [false, true].into_iter().take(1 + usize::from(heard.pauses > 0)) {
            let mut sends = heard.clone();
            sends.pauses -= u8::from(lifted);
            let latest = self.latest(step, lifted) - 1;
            if !self.bound(&mut sends, step.told, dies, -sent)
                || !self.bound(&mut sends, dies, step.told, latest)
            {
                continue;
            }
            let writes = !matches!(step.what, Do::Get | Do::Compare | Do::Select);
            if writes && (!step.first || self.fault == Some(Fault::Crash { first: true })) {
                let mut lands = sends.clone();
                let by = (client, lands.clients[client].told.len());
                lands.late.push((step, lifted, memory, by));
                ways.push((self.lose(lands, client, dies), true));
            }
            ways.push((self.lose(sends, client, dies), !step.first));
        }
        ways
    }

    fn lose(&self, mut world: World, client: usize, dies: usize) -> World {
        world.clients[client].told.push(Told::Nothing);
        world.clients[client].last = None;
        self.begin(&mut world, client, dies, RESTART);
        world
    }

    /// What a schedule comes to, with its entries as they can be at rest.
    fn ends(&self, mut world: World) -> Vec<End> {
        let (last, rest) = (world.now, world.point());
        world.now = rest;
        let heard: Vec<usize> = world.clients.iter().map(|client| client.heard).collect();
        let possible =
            heard.into_iter().chain([last]).all(|at| self.bound(&mut world, at, rest, 0))
                && self.bound(&mut world, rest, last, self.units(self.horizon()));
        let mut worlds = if possible { vec![world] } else { Vec::new() };
        for row in 0..self.rows {
            let looked = worlds.into_iter().flat_map(|world| self.look(world, row, Do::Get));
            worlds = looked.collect();
        }
        let end = |world: World| End {
            told: world.clients.into_iter().map(|client| client.told).collect(),
            rows: world.rows,
            entries: world.items[..self.rows].iter().map(|item| item.as_ref()?.version).collect(),
            unseen: world.unseen,
        };
        worlds.into_iter().map(end).collect()
    }
}

impl World {
    pub fn point(&mut self) -> usize {
        self.times.at.push(0);
        self.times.at.len() - 1
    }
}
