//! What a lane keeps: its pairs, and the books subscribed to. Goes into the lane's checkpoint.

use std::collections::{BTreeMap, HashMap};

use qicore_data::{Checksum, Error, Result, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use super::checksum::{Scales, VerifiedBook};
use super::{excerpt, names, precision, wire};
use crate::VenueContext;

/// The pairs seen in the lane, by native name.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    index: HashMap<Box<str>, usize, rustc_hash::FxBuildHasher>,
    all: Vec<Pair>,
    /// Precisions from lists of instruments.
    told: BTreeMap<Symbol, Scales>,
}

/// The form in a checkpoint.
#[derive(Serialize)]
struct State<'a> {
    pairs: &'a [Pair],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    precision: &'a BTreeMap<Symbol, Scales>,
}

/// The form that is read.
#[derive(Deserialize)]
struct Stored {
    pairs: Vec<Pair>,
    #[serde(default)]
    precision: BTreeMap<Symbol, Scales>,
}

/// A pair, and the books subscribed to. The form in a checkpoint too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    native: Box<str>,
    pub(super) symbol: Symbol,
    /// Over WebSocket v1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    books: Vec<BookState>,
    /// Over WebSocket v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v2: Option<Box<precision::Book>>,
}

/// A book, as far as it is known.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BookState {
    pub(super) depth: usize,
    /// The time of the last book event.
    pub(super) last: Timestamp,
    /// `None` before the first snapshot, and from a mismatch to the next.
    pub(super) book: Option<VerifiedBook>,
}

impl Pairs {
    /// The symbols of all of them.
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.all.iter().map(|pair| pair.symbol)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Forgets those that came after the first `len`.
    #[cold]
    pub(super) fn truncate(&mut self, len: usize) {
        for pair in self.all.drain(len.min(self.all.len())..) {
            self.index.remove(&pair.native);
        }
    }

    /// Drops all books: what changed while a connection was lost is not known.
    pub(super) fn drop_books(&mut self) {
        for pair in &mut self.all {
            pair.books.iter_mut().for_each(|book| book.book = None);
            pair.v2.iter_mut().for_each(|book| book.state.book = None);
        }
    }

    /// Learns precisions from a list of instruments. Lists come again and again: only what is new counts.
    pub(super) fn tell(&mut self, list: impl IntoIterator<Item = (Symbol, Scales)>) {
        let mut news = false;
        for (symbol, scales) in list {
            news |= self.told.insert(symbol, scales) != Some(scales);
        }
        if !news {
            return;
        }
        for pair in &mut self.all {
            if let (Some(book), Some(scales)) = (&mut pair.v2, self.told.get(&pair.symbol)) {
                book.precision.tell(*scales);
            }
        }
    }

    /// The state's text; `None` where there is nothing to keep.
    pub(super) fn snapshot(&self) -> Option<serde_json::Result<String>> {
        let state = State {
            pairs: &self.all,
            precision: &self.told,
        };
        let empty = self.all.is_empty() && self.told.is_empty();
        (!empty).then(|| serde_json::to_string(&state))
    }

    /// Reads the state's text.
    pub(super) fn restore(state: &str) -> serde_json::Result<Self> {
        // A list of pairs is from before WebSocket v2 was decoded.
        let (all, told) = match state.trim_ascii_start().starts_with('[') {
            true => (serde_json::from_str(state)?, BTreeMap::new()),
            false => serde_json::from_str(state).map(|Stored { pairs, precision }| (pairs, precision))?,
        };
        let index = all.iter().enumerate();
        let index = index.map(|(at, pair)| (pair.native.clone(), at)).collect();
        Ok(Self { index, all, told })
    }

    /// The place of a pair.
    #[inline]
    pub(super) fn place(&mut self, native: &str, context: &VenueContext) -> Result<usize> {
        match self.index.get(native) {
            Some(at) => Ok(*at),
            None => self.learn(native, context),
        }
    }

    /// The symbol of the pair at a place, and its book over WebSocket v2.
    #[inline]
    pub(super) fn book(&mut self, place: usize) -> (Symbol, &mut precision::Book) {
        let Pair { symbol, v2, .. } = &mut self.all[place];
        let new = || Box::new(precision::Book::new(self.told.get(symbol).copied()));
        (*symbol, v2.get_or_insert_with(new))
    }

    /// The symbol of the pair at a place.
    pub(super) fn symbol(&self, place: usize) -> Symbol {
        self.all[place].symbol
    }

    #[inline]
    pub(super) fn find(&mut self, native: &str, context: &VenueContext) -> Result<&mut Pair> {
        let at = self.place(native, context)?;
        Ok(&mut self.all[at])
    }

    #[cold]
    fn learn(&mut self, native: &str, context: &VenueContext) -> Result<usize> {
        let symbol = match context.symbols.get(native) {
            Some(symbol) => symbol,
            None => names::symbol(native).map_err(|error| {
                Error::decode("kraken.pair", "the pair's name tells no symbol")
                    .with_source(error)
                    .with("pair", excerpt(native, 40))
            })?,
        };
        let at = self.all.len();
        self.index.insert(native.into(), at);
        self.all.push(Pair {
            native: native.into(),
            symbol,
            books: Vec::new(),
            v2: None,
        });
        Ok(at)
    }
}

impl Pair {
    /// The book of a depth over WebSocket v1: almost always the only one.
    #[inline]
    pub(super) fn book(&mut self, depth: usize) -> &mut BookState {
        let at = self
            .books
            .iter()
            .position(|book| book.depth == depth)
            .unwrap_or_else(|| {
                self.books.push(BookState::new(depth));
                self.books.len() - 1
            });
        &mut self.books[at]
    }
}

impl BookState {
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            last: Timestamp::UNKNOWN,
            book: None,
        }
    }

    /// Takes up a message and compares checksums. A book that is found to differ is dropped: until the next snapshot
    /// there is nothing to compare with.
    #[inline]
    pub(super) fn take_up(&mut self, message: &wire::Book) -> Option<Checksum> {
        if message.snapshot && self.book.is_none() {
            self.book = Some(VerifiedBook::new(self.depth));
        }
        let book = self.book.as_mut()?;
        book.apply(message);
        let sent = message.checksum?;
        if book.checksum(None) == sent {
            return Some(Checksum::Ok);
        }
        self.book = None;
        Some(Checksum::Mismatch)
    }
}
