//! A hash index over pairs that live elsewhere.

use std::hash::{BuildHasher, RandomState};

/// Finds the position of a name among many. Only positions and hashes are kept: the names stay in the buffer of
/// [`crate::Params`]. The hash is keyed at random for each index, so a peer cannot aim for collisions.
#[derive(Clone)]
pub(crate) struct Index {
    /// Open addressing with linear probing; the length is a power of two.
    slots: Vec<Slot>,
    /// Slots that are not [`Slot::FREE`], the forgotten ones included.
    used: usize,
    hasher: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    hash: u32,
    pair: u32,
}

impl Slot {
    const FREE: Self = Self { hash: 0, pair: u32::MAX };
    /// Held a pair that was removed; a search goes on past it.
    const GONE: Self = Self { hash: 0, pair: u32::MAX - 1 };

    fn is_taken(self) -> bool {
        self != Self::FREE && self != Self::GONE
    }
}

impl Index {
    /// An empty index with room for `pairs` pairs before it grows.
    pub(crate) fn with_capacity(pairs: usize) -> Self {
        Self { slots: vec![Slot::FREE; slots_for(pairs)], used: 0, hasher: RandomState::new() }
    }

    pub(crate) fn hash(&self, name: &[u8]) -> u32 {
        // Half of the 64 bits is as evenly spread as the whole.
        self.hasher.hash_one(name) as u32
    }

    /// The pair with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == Slot::FREE {
                return None;
            }
            if slot.hash == hash && slot.is_taken() && is_it(slot.pair as usize) {
                return Some(slot.pair as usize);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds `pair`, whose name is not in the index.
    pub(crate) fn insert(&mut self, hash: u32, pair: usize) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let old = std::mem::take(&mut self.slots);
            let taken = old.iter().filter(|slot| slot.is_taken()).count();
            self.slots = vec![Slot::FREE; slots_for(taken + taken / 2)];
            self.used = 0;
            for slot in old.into_iter().filter(|slot| slot.is_taken()) {
                self.place(slot);
            }
        }
        self.place(Slot { hash, pair: pair as u32 });
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at] != Slot::FREE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
        self.used += 1;
    }

    /// Forgets `pair`; the positions after it move down by one.
    pub(crate) fn remove(&mut self, pair: usize) {
        let pair = pair as u32;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_taken()) {
            if slot.pair == pair {
                *slot = Slot::GONE;
            } else if slot.pair > pair {
                slot.pair -= 1;
            }
        }
    }
}

/// The slots in which `pairs` pairs fill at most three quarters.
fn slots_for(pairs: usize) -> usize {
    (pairs * 4 / 3 + 1).next_power_of_two().max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_are_told_apart() {
        let mut index = Index::with_capacity(1);
        for pair in 0..1000 {
            assert_eq!(index.find(7, |found| found == pair), None);
            index.insert(7, pair);
        }
        for pair in 0..1000 {
            assert_eq!(index.find(7, |found| found == pair), Some(pair));
        }
    }

    #[test]
    fn removal_moves_later_positions_down() {
        let mut index = Index::with_capacity(1);
        let hash = |pair: u32| pair.wrapping_mul(0x9E37_79B9);
        for pair in 0..100 {
            index.insert(hash(pair), pair as usize);
        }
        index.remove(40);
        assert_eq!(index.find(hash(40), |_| true), None);
        assert_eq!(index.find(hash(39), |_| true), Some(39));
        assert_eq!(index.find(hash(41), |_| true), Some(40));
        assert_eq!(index.find(hash(99), |_| true), Some(98));
    }

    #[test]
    fn endless_insertion_and_removal_needs_no_more_room() {
        let mut index = Index::with_capacity(8);
        for round in 0..10_000u32 {
            index.insert(round, 0);
            index.remove(0);
        }
        assert!(index.slots.len() <= 64);
        assert_eq!(index.find(3, |_| true), None);
    }
}
