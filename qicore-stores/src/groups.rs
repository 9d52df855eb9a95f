//! Groups of rows whose keys begin alike, numbered as they come and ranked by what they are.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// The groups met so far.
pub(crate) struct Groups<G>(FxHashMap<G, u32>);

impl<G> Default for Groups<G> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<G: Copy + Eq + Hash + Ord> Groups<G> {
    /// The number of a group: the next one where it is new.
    #[inline]
    pub(crate) fn number(&mut self, group: G) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(group).or_insert(next)
    }

    /// The place of each group among all of them, at its number.
    pub(crate) fn ranks(self) -> Vec<u32> {
        let mut groups: Vec<(G, u32)> = self.0.into_iter().collect();
        groups.sort_unstable();
        let mut ranks = vec![0; groups.len()];
        for (rank, (_, number)) in (0..).zip(groups) {
            ranks[number as usize] = rank;
        }
        ranks
    }
}
