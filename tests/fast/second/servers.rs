//! The servers: a memcached whose items expire by a clock that nobody sees, and a database whose
//! statements commit themselves.

use super::program::{Clock, Do, Program, Verb};
use super::semantics::World;
use super::strategy::{Answer, Memory};

/// Whose step it is: a client, and the place of its operation.
pub type By = (usize, usize);

#[derive(Clone, Copy)]
pub struct Item {
    /// `None` in a stub.
    pub version: Option<u8>,
    token: u32,
    stored: usize,
    /// In seconds; 0 where it cannot expire before all is done.
    ttl: i64,
    expires: Option<usize>,
}

impl Program {
    /// Entries come first, then locks.
    fn place(&self, what: Do, row: usize) -> usize {
        if matches!(what, Do::Lock | Do::Unlock) { self.rows + row } else { row }
    }

    /// A step at its server.
    pub fn serve(&self, w: &mut World, what: Do, m: &mut Memory, by: By) -> Answer {
        let place = self.place(what, m.row);
        let found = w.items[place];
        let same = found.is_some_and(|item| item.token == m.token);
        let stores = match what {
            Do::Set => true,
            Do::Add | Do::Vivify | Do::Lock => found.is_none(),
            Do::Cas | Do::Fill => same,
            _ => false,
        };
        if stores {
            w.tokens += 1;
            let (version, ttl) = match what {
                Do::Vivify | Do::Lock => (None, self.lease_ttl),
                _ => (m.value, self.ttl),
            };
            let (token, stored, expires) = (w.tokens, w.now, None);
            w.items[place] = Some(Item { version, token, stored, ttl, expires });
        }
        match (what, found) {
            (Do::Get | Do::Compare | Do::Vivify, Some(item)) => {
                Answer::Hit(item.version, item.token)
            }
            (Do::Get | Do::Compare, None) => Answer::Miss,
            (Do::Vivify, None) => Answer::Won(w.tokens),
            (Do::Select, _) => {
                let (version, gone) = w.rows[m.row];
                Answer::Row((!gone).then_some(version))
            }
            (Do::Write, _) => {
                let (version, gone) = &mut w.rows[m.row];
                if *gone {
                    return Answer::Row(None);
                }
                if m.verb == Verb::Modify && m.base != Some(*version) {
                    w.unseen.push((by.0, by.1, m.row));
                }
                *version += 1;
                *gone = m.verb == Verb::Delete;
                m.committed = Some(*version);
                Answer::Row((!*gone).then_some(*version))
            }
            (Do::Delete | Do::Unlock, _) => {
                w.items[place] = None;
                Answer::Done(true)
            }
            (Do::Unstub, _) => {
                w.items[place] = found.filter(|_| !same);
                Answer::Done(same)
            }
            _ => Answer::Done(stores),
        }
    }

    /// A step that asks whether there is an item finds it alive, or gone by itself.
    pub fn look(&self, world: World, row: usize, what: Do) -> Vec<World> {
        let row = self.place(what, row);
        let blind = matches!(what, Do::Set | Do::Delete | Do::Unlock | Do::Select | Do::Write);
        let (Clock::On { second, .. }, Some(item)) = (self.clock, world.items[row]) else {
            return vec![world];
        };
        let second = self.units(second);
        if blind || item.ttl == 0 {
            return vec![world];
        }
        let now = world.now;
        if item.expires.is_none() && world.times.most(now, item.stored) <= (item.ttl - 1) * second {
            return vec![world];
        }
        let mut worlds = Vec::new();
        for mut world in self.with_expiry(world, row, second) {
            let expires = world.items[row].and_then(|item| item.expires).expect("it has one now");
            let mut gone = world.clone();
            if gone.times.bound(expires, now, 0) {
                gone.items[row] = None;
                gone.expired = true;
                worlds.push(gone);
            }
            if world.times.bound(now, expires, -1) {
                worlds.push(world);
            }
        }
        worlds
    }

    /// The tick at which an item expires is a whole number of seconds from every other one.
    fn with_expiry(&self, mut world: World, row: usize, second: i64) -> Vec<World> {
        let item = world.items[row].as_mut().expect("it is looked at");
        let (stored, ttl) = (item.stored, item.ttl);
        if item.expires.is_some() {
            return vec![world];
        }
        let expires = world.times.at.len();
        item.expires = Some(expires);
        world.point();
        let possible = world.times.bound(expires, stored, ttl * second)
            && world.times.bound(stored, expires, -(ttl - 1) * second - 1);
        let Some(tick) = world.tick.filter(|_| possible) else {
            world.tick = Some(expires);
            return if possible { vec![world] } else { Vec::new() };
        };
        let least = -world.times.most(tick, expires).div_euclid(second);
        let most = world.times.most(expires, tick).div_euclid(second);
        let worlds = (least..=most).filter_map(|ticks| {
            let mut world = world.clone();
            let after = ticks * second;
            (world.times.bound(expires, tick, after) && world.times.bound(tick, expires, -after))
                .then_some(world)
        });
        worlds.collect()
    }
}
