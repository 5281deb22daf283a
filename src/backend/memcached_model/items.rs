//! The items of one node: a map from keys to places, and an LRU list linked by places.
//!
//! Nothing here iterates over the map, so its order cannot leak.

use rustc_hash::FxHashMap;

use super::entry::{Entry, NIL};
use crate::step::Key;

/// The items of one node.
#[derive(Clone, Debug)]
pub(super) struct Items {
    places: FxHashMap<Key, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: u64,
}

impl Items {
    pub(super) fn new() -> Items {
        Items {
            places: FxHashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NIL,
            oldest: NIL,
            bytes: 0,
        }
    }

    /// Forgets all items, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
        self.free.clear();
        self.newest = NIL;
        self.oldest = NIL;
        self.bytes = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The sum of the items' sizes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[inline]
    pub(super) fn place(&self, key: &[u8]) -> Option<u32> {
        self.places.get(key).copied()
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NIL).then_some(self.oldest)
    }

    #[inline]
    pub(super) fn entry(&self, place: u32) -> &Entry {
        self.entries[place as usize].as_ref().expect("places name entries that exist")
    }

    /// The entry, to change anything but its key and the length of its value.
    #[inline]
    pub(super) fn entry_mut(&mut self, place: u32) -> &mut Entry {
        self.entries[place as usize].as_mut().expect("places name entries that exist")
    }

    /// The items from the oldest to the newest in the LRU.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &Entry> {
        let next = |place: u32| (place != NIL).then(|| self.entry(place));
        std::iter::successors(next(self.oldest), move |entry| next(entry.newer))
    }

    /// Adds an item at the newest end; there must be none with its key.
    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        self.bytes += entry.bytes();
        let key = entry.key.clone();
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 items fit memory")
            }
        };
        let before = self.places.insert(key, place);
        debug_assert!(before.is_none(), "an item is removed before its key is used again");
        self.link_newest(place);
        place
    }

    /// Puts an item in the place of another with the same key, at the newest end.
    pub(super) fn replace(&mut self, place: u32, entry: Entry) {
        self.unlink(place);
        self.bytes -= self.entry(place).bytes();
        self.bytes += entry.bytes();
        self.entries[place as usize] = Some(entry);
        self.link_newest(place);
    }

    pub(super) fn remove(&mut self, place: u32) -> Entry {
        self.unlink(place);
        let entry = self.entries[place as usize].take().expect("places name entries that exist");
        self.bytes -= entry.bytes();
        self.places.remove(&entry.key);
        self.free.push(place);
        entry
    }

    /// Makes an item the newest.
    #[inline]
    pub(super) fn bump(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    fn unlink(&mut self, place: u32) {
        let (newer, older) = (self.entry(place).newer, self.entry(place).older);
        match newer {
            NIL => self.newest = older,
            newer => self.entry_mut(newer).older = older,
        }
        match older {
            NIL => self.oldest = newer,
            older => self.entry_mut(older).newer = newer,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let second = self.newest;
        let entry = self.entry_mut(place);
        entry.newer = NIL;
        entry.older = second;
        match second {
            NIL => self.oldest = place,
            second => self.entry_mut(second).newer = place,
        }
        self.newest = place;
    }
}
