//! From a venue's native names to symbols, on the path of every message.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use qicore_data::{Error, Symbol};
use serde::{Deserialize, Serialize};

use super::SymbolMap;

/// The symbol that a native name stands for by the venue's way of naming alone.
pub(crate) type Rule = fn(&str) -> Option<Symbol>;

/// The names that one lane's decoder knows. Instrument lists come before the venue's rule; what has been resolved once
/// stays, so that a symbol does not change in the middle of a lane.
#[derive(Debug)]
pub(crate) struct Names {
    used: HashMap<Box<str>, Symbol, rustc_hash::FxBuildHasher>,
    taught: HashMap<Box<str>, Taught, rustc_hash::FxBuildHasher>,
    shared: Arc<SymbolMap>,
    rule: Rule,
}

/// A name from an instrument list.
#[derive(Debug, Clone, Copy)]
struct Taught {
    symbol: Symbol,
    /// The rule alone would tell another symbol, or none.
    exception: bool,
}

/// What a lane that goes on in another process must not forget: the names it has used, and those that an instrument
/// list taught it and the rule would not tell. Sorted, so that the same state has the same text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NamesState<'a> {
    #[serde(borrow)]
    used: BTreeMap<Cow<'a, str>, Symbol>,
    #[serde(borrow)]
    taught: BTreeMap<Cow<'a, str>, Symbol>,
}

impl Names {
    pub(crate) fn new(shared: Arc<SymbolMap>, rule: Rule) -> Self {
        Self {
            used: HashMap::default(),
            taught: HashMap::default(),
            shared,
            rule,
        }
    }

    /// The symbol of the name in a message.
    #[inline]
    pub(crate) fn symbol(&mut self, native: &str) -> Result<Symbol, Error> {
        match self.used.get(native) {
            Some(symbol) => Ok(*symbol),
            None => self.first_use(native),
        }
    }

    #[cold]
    fn first_use(&mut self, native: &str) -> Result<Symbol, Error> {
        let found = self.shared.get(native).or_else(|| (self.rule)(native));
        let symbol = found.ok_or_else(|| {
            let shown: String = native.chars().take(40).collect();
            let message = "no symbol is known for the instrument: decode the venue's instrument list first, \
                           or add the name to the context's symbols";
            Error::decode("venue.symbol", message).with("native", format_args!("{shown:?}"))
        })?;
        self.used.insert(native.into(), symbol);
        Ok(symbol)
    }

    /// Learns a name from an instrument list, for this lane and all others of the source. Lists come again and again.
    pub(crate) fn learn(&mut self, native: &str, symbol: Symbol) {
        if self.taught.get(native).is_some_and(|known| known.symbol == symbol) {
            return;
        }
        self.shared.insert(native, symbol);
        let exception = (self.rule)(native) != Some(symbol);
        self.taught.insert(native.into(), Taught { symbol, exception });
    }

    /// The symbols of all messages so far, in a fixed order.
    pub(crate) fn used(&self) -> Vec<Symbol> {
        let mut symbols: Vec<_> = self.used.values().copied().collect();
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }

    pub(crate) fn state(&self) -> NamesState<'_> {
        let exceptions = self.taught.iter().filter(|(_, taught)| taught.exception);
        NamesState {
            used: self
                .used
                .iter()
                .map(|(native, symbol)| (native.as_ref().into(), *symbol))
                .collect(),
            taught: exceptions
                .map(|(native, taught)| (native.as_ref().into(), taught.symbol))
                .collect(),
        }
    }

    pub(crate) fn restore(&mut self, state: NamesState<'_>) {
        self.used = state
            .used
            .into_iter()
            .map(|(native, symbol)| (native.into(), symbol))
            .collect();
        self.taught.clear();
        for (native, symbol) in &state.taught {
            self.learn(native, *symbol);
        }
    }
}
