//! A bounded table of keys, the oldest of which is forgotten first.

use std::collections::VecDeque;

/// A key and what is known of it: bits of [`Identity::Once`](super::identity::Identity), or a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: [u64; 2],
    pub(super) value: u64,
}

/// Entries in the order they came, and an index over them.
///
/// The index is a hash table with linear probing whose slots hold 31 bits of the key next to the entry's number: a key
/// that is not there, the usual case, is told without a look at the entries, and entries are added and forgotten at the
/// two ends of a ring. The standard map would hold every key twice (for the order) and touch more cache lines.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    weigh: Weigh,
    entries: VecDeque<Entry>,
    /// The number of the oldest entry; numbers wrap around.
    first: u32,
    /// A power of two, or none before the first entry. 0 is free.
    slots: Vec<u64>,
    /// What the entries weigh together, against the limit.
    weight: usize,
}

/// What an entry of this value counts for, against the limit.
pub(super) type Weigh = fn(u64) -> usize;

/// Which 31 bits of a key the slots hold, with a bit that no free slot has.
#[inline]
fn tag_of(key: [u64; 2]) -> u32 {
    key[0] as u32 | 1 << 31
}

#[inline]
fn slot_of(key: [u64; 2], number: u32) -> u64 {
    u64::from(tag_of(key)) << 32 | u64::from(number)
}

impl Memory {
    /// An empty memory.
    pub(super) const fn new(weigh: Weigh) -> Self {
        Self {
            weigh,
            entries: VecDeque::new(),
            first: 0,
            slots: Vec::new(),
            weight: 0,
        }
    }

    /// Takes up [`Memory::entries`].
    pub(super) fn restore(&mut self, entries: Vec<Entry>, limit: usize) {
        *self = Self::new(self.weigh);
        for entry in entries {
            self.insert(entry, limit);
        }
    }

    /// Adds a bit to a key; `false` if it was there.
    #[inline]
    pub(super) fn once(&mut self, key: [u64; 2], bit: u64, limit: usize) -> bool {
        let weigh = self.weigh;
        let added = match self.find(key) {
            Some(entry) if entry.value & bit != 0 => return false,
            Some(entry) => {
                entry.value |= bit;
                weigh(entry.value) - weigh(entry.value & !bit)
            }
            None => {
                self.insert(Entry { key, value: bit }, limit);
                0
            }
        };
        self.weight += added;
        self.trim(limit);
        true
    }

    /// Sets a key's content; `false` if it was the same.
    #[inline]
    pub(super) fn latest(&mut self, key: [u64; 2], content: u64, limit: usize) -> bool {
        match self.find(key) {
            Some(entry) => std::mem::replace(&mut entry.value, content) != content,
            None => {
                self.insert(Entry { key, value: content }, limit);
                true
            }
        }
    }

    /// The entries, oldest first.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = Entry> {
        self.entries.iter().copied()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn find(&mut self, key: [u64; 2]) -> Option<&mut Entry> {
        let (tag, mask) = (tag_of(key), self.mask());
        let mut at = tag as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            let index = (slot as u32).wrapping_sub(self.first) as usize;
            if (slot >> 32) as u32 == tag && self.entries[index].key == key {
                return self.entries.get_mut(index);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry that is not there.
    #[inline]
    fn insert(&mut self, entry: Entry, limit: usize) {
        if (self.entries.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let number = self.first.wrapping_add(self.entries.len() as u32);
        self.entries.push_back(entry);
        self.take_slot(slot_of(entry.key, number));
        self.weight += (self.weigh)(entry.value);
        self.trim(limit);
    }

    /// Forgets the oldest entries beyond the limit. The newest one stays, however small that is.
    #[inline]
    fn trim(&mut self, limit: usize) {
        while self.weight > limit && self.entries.len() > 1 {
            self.forget();
        }
    }

    #[inline]
    fn take_slot(&mut self, slot: u64) {
        let mask = self.mask();
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots = vec![0; size];
        for at in 0..self.entries.len() {
            let number = self.first.wrapping_add(at as u32);
            self.take_slot(slot_of(self.entries[at].key, number));
        }
    }

    /// Removes the oldest entry.
    fn forget(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.weight -= (self.weigh)(entry.value);
        let (slot, mask) = (slot_of(entry.key, self.first), self.mask());
        let mut hole = (slot >> 32) as usize & mask;
        while self.slots[hole] != slot {
            hole = (hole + 1) & mask;
        }
        // Close the hole: whatever was pushed past it moves back, so that no search ends early.
        let mut at = (hole + 1) & mask;
        while self.slots[at] != 0 {
            let home = (self.slots[at] >> 32) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = (at + 1) & mask;
        }
        self.slots[hole] = 0;
        self.first = self.first.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few tags, so that searches collide and wrap around the table's end.
    fn key(number: u64) -> [u64; 2] {
        [number % 7 * 0x1fff_ffff, number]
    }

    proptest! {
        #[test]
        fn remembers_the_last_keys(numbers in prop::collection::vec(0u64..60, 0..600), limit in 1usize..80, first: u32) {
            let mut memory = Memory { first, ..Memory::new(|_| 1) };
            let mut model: VecDeque<(u64, u64)> = VecDeque::new();
            for (at, number) in numbers.into_iter().enumerate() {
                let content = at as u64 % 3;
                let expected = match model.iter_mut().find(|(known, _)| *known == number) {
                    Some((_, known)) => std::mem::replace(known, content) != content,
                    None => {
                        model.push_back((number, content));
                        true
                    }
                };
                if model.len() > limit {
                    model.pop_front();
                }
                prop_assert_eq!(memory.latest(key(number), content, limit), expected);
            }
            let held: Vec<_> = memory.entries().map(|entry| (entry.key[1], entry.value)).collect();
            prop_assert_eq!(held, Vec::from(model));
        }

        #[test]
        fn forgets_bits_by_the_key(ids in prop::collection::vec(0u64..1000, 0..600), limit in 1usize..200) {
            let mut memory = Memory::new(|bits| bits.count_ones() as usize);
            let mut model: VecDeque<(u64, Vec<u64>)> = VecDeque::new();
            for id in ids {
                let block = id >> 6;
                let expected = match model.iter_mut().find(|(known, _)| *known == block) {
                    Some((_, known)) if known.contains(&id) => false,
                    Some((_, known)) => { known.push(id); true }
                    None => { model.push_back((block, vec![id])); true }
                };
                while model.len() > 1 && model.iter().map(|(_, known)| known.len()).sum::<usize>() > limit {
                    model.pop_front();
                }
                prop_assert_eq!(memory.once(key(block), 1 << (id & 63), limit), expected);
            }
        }
    }
}
