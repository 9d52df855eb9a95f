//! Native instrument names and their canonical symbols.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use qicore_data::Symbol;

/// A venue's native names, as its instrument lists tell them. Shared by the lanes of a source; each decoder keeps what
/// it has looked up, so that the lock is not on the path of a message.
#[derive(Debug, Default)]
pub struct SymbolMap(RwLock<HashMap<Box<str>, Symbol, rustc_hash::FxBuildHasher>>);

impl SymbolMap {
    /// Learns a name.
    pub fn insert(&self, native: &str, symbol: Symbol) {
        self.insert_all([(native, symbol)]);
    }

    /// Learns the names of a list. Lists come again and again: what is known already costs a look.
    pub fn insert_all<'a>(&self, names: impl IntoIterator<Item = (&'a str, Symbol)>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (native, symbol) in names {
            match known.get_mut(native) {
                Some(known) => *known = symbol,
                None => {
                    known.insert(native.into(), symbol);
                }
            }
        }
    }

    /// The symbol of a name that has been learnt.
    pub fn get(&self, native: &str) -> Option<Symbol> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(native)
            .copied()
    }
}
