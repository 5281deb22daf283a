//! Strings, stored once and numbered within groups: keys, and the values of each key.

/// Numbers strings exactly: two get one number only if all their bytes agree.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    /// All strings, one after the other.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Open addressing: the upper half is a part of the hash, the lower the entry's place + 1.
    slots: Vec<u64>,
    /// By group: how many strings it has.
    counts: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the string begins; it ends where the next one begins.
    from: u64,
    group: u32,
    /// Its number within the group.
    number: u32,
}

impl Interner {
    /// The number of a string within its group, from 0 in the order of first appearance.
    pub fn intern(&mut self, group: u32, text: &[u8]) -> u32 {
        if self.entries.len() * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        let hash = hash(group, text);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let found = self.slots[slot];
            if found == 0 {
                break;
            }
            let place = (found as u32 - 1) as usize;
            if found >> 32 == hash >> 32 && self.is(place, group, text) {
                return self.entries[place].number;
            }
            slot = (slot + 1) & mask;
        }
        if self.counts.len() <= group as usize {
            self.counts.resize(group as usize + 1, 0);
        }
        let number = self.counts[group as usize];
        self.counts[group as usize] += 1;
        self.entries.push(Entry { from: self.arena.len() as u64, group, number });
        self.arena.extend_from_slice(text);
        let count = u32::try_from(self.entries.len()).expect("fewer than 2^32 strings");
        self.slots[slot] = hash >> 32 << 32 | u64::from(count);
        number
    }

    /// The places of all strings, by group and then by number, and where each group begins.
    pub fn index(&self) -> Index {
        let mut from = Vec::with_capacity(self.counts.len() + 1);
        let mut total = 0;
        for count in &self.counts {
            from.push(total);
            total += count;
        }
        let mut places = vec![0; self.entries.len()];
        for (place, entry) in self.entries.iter().enumerate() {
            places[(from[entry.group as usize] + entry.number) as usize] = place as u32;
        }
        Index { from, places }
    }

    /// A string by its place among all.
    pub fn text(&self, place: usize) -> &str {
        std::str::from_utf8(self.bytes(place)).expect("only text is interned")
    }

    /// The table for look-ups is no longer needed: only names are from here on.
    pub fn freeze(&mut self) {
        self.slots = Vec::new();
    }

    /// The bytes of a string by its place among all.
    pub fn bytes(&self, place: usize) -> &[u8] {
        let until = self.entries.get(place + 1).map_or(self.arena.len(), |next| next.from as usize);
        &self.arena[self.entries[place].from as usize..until]
    }

    fn is(&self, place: usize, group: u32, text: &[u8]) -> bool {
        self.entries[place].group == group && self.bytes(place) == text
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64).max((self.entries.len() * 2).next_power_of_two());
        self.slots = vec![0; size];
        for (place, entry) in self.entries.iter().enumerate() {
            let hash = hash(entry.group, self.bytes(place));
            let mut slot = hash as usize & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = hash >> 32 << 32 | (place as u64 + 1);
        }
    }
}

/// Finds strings by group and number.
#[derive(Debug)]
pub(crate) struct Index {
    from: Vec<u32>,
    places: Vec<u32>,
}

impl Index {
    /// The place of a string among all.
    pub fn place(&self, group: u32, number: u32) -> usize {
        self.places[(self.from[group as usize] + number) as usize] as usize
    }
}

/// The multiply-and-rotate step of FxHash, eight bytes at a time, well mixed in the end.
fn hash(group: u32, text: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
    let mut sum = u64::from(group).wrapping_mul(MULTIPLIER) ^ text.len() as u64;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
        sum = (sum.rotate_left(26) ^ word).wrapping_mul(MULTIPLIER);
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    sum = (sum.rotate_left(26) ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    (sum ^ sum >> 29).wrapping_mul(MULTIPLIER).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_numbered_within_their_group() {
        let mut interner = Interner::default();
        for round in 0..2 {
            for number in 0..10_000u32 {
                let text = format!("value {number}");
                assert_eq!(interner.intern(number % 3, text.as_bytes()), number / 3, "{round}");
            }
        }
        assert_eq!(interner.intern(7, b""), 0);
        assert_eq!(interner.intern(7, b"\0"), 1);
        assert_eq!(interner.intern(7, b""), 0);
        let index = interner.index();
        assert_eq!(interner.text(index.place(1, 2)), "value 7");
    }
}
