//! `top`: maintains the order books of a stream and tells their best levels.
//!
//! In the place of the venue's snapshots and changes come snapshots of the best levels, or quotes of the very best, whenever
//! those change. A book that is broken (a `gap` of its symbol) is forgotten until its next snapshot: nothing is told of
//! it meanwhile.
//!
//! ```
//! use qicore_data::{Book, BookKind, Data, Event, Exchange, Label, Level, Levels, Output, Symbol, Timestamp, Transform};
//! use qicore_stream::transform::{Top, TopConfig};
//!
//! let level = |price: i64, size: i64| Level::new(price.into(), size.into());
//! let book = |kind, bids: &[Level], asks: &[Level]| {
//!     let book = Book { kind, sequence: None, levels: Levels::new(bids, asks), checksum: None };
//!     let (exchange, symbol) = (Exchange::new("kraken").unwrap(), Symbol::new("BTC/USD").unwrap());
//!     Event::new(exchange, symbol, Timestamp::UNKNOWN, Label::new("kraken").unwrap(), book)
//! };
//! let mut top = Top::from(TopConfig::quotes());
//! let mut out = Output::default();
//! let events = vec![
//!     book(BookKind::Snapshot, &[level(99, 1), level(98, 5)], &[level(101, 2)]),
//!     book(BookKind::Delta, &[level(98, 7)], &[]),
//!     book(BookKind::Delta, &[level(99, 0)], &[]),
//! ];
//! top.apply(events, &mut out)?;
//! let bids: Vec<_> = out.events.iter().map(|event| match &event.data {
//!     Data::Quote(quote) => quote.bid.to_string(),
//!     other => panic!("{other:?}"),
//! }).collect();
//! assert_eq!(bids, ["99", "98"]);
//! # Ok::<(), qicore_data::Error>(())
//! ```

mod config;

pub use config::{Tell, TopConfig};

use std::collections::BTreeMap;

use qicore_data::{
    Book, BookKind, Checksum, Data, Event, Exchange, GapReason, Level, Levels, NewTransform, OrderBook, Output, Plugin,
    Quote, Result, Symbol, Touched, Transform,
};

use super::{damaged, per_lane};

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "top",
    "maintains order books and tells their best levels, or quotes",
    |settings| {
        let config: TopConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(per_lane(Top::from(config)))
    },
);

/// The depths that books of a bounded depth come in. A thin market has fewer levels than its depth.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1000];

/// Maintains order books; see the [module](self).
#[derive(Debug, Clone)]
pub struct Top {
    config: TopConfig,
    books: BTreeMap<(Exchange, Symbol), OrderBook>,
}

impl From<TopConfig> for Top {
    fn from(config: TopConfig) -> Self {
        Self {
            config,
            books: BTreeMap::new(),
        }
    }
}

impl Top {
    /// Takes up a book event; the view that is to be told, if it has changed.
    fn take_up(&mut self, event: &Event, book: &Book) -> Option<Data> {
        let place = (event.exchange, event.symbol);
        if book.checksum == Some(Checksum::Mismatch) {
            self.books.remove(&place);
            return None;
        }
        if book.kind == BookKind::Snapshot {
            let levels = book.levels.bids().len().max(book.levels.asks().len());
            let bounded = self.config.bounded.iter().any(|name| name == event.exchange.as_str());
            let depth = DEPTHS
                .into_iter()
                .find(|depth| bounded && levels <= *depth)
                .unwrap_or(usize::MAX);
            self.books.insert(place, OrderBook::with_depth(depth));
        }
        let known = self.books.get_mut(&place)?;
        let before = (known.best_bid(), known.best_ask());
        let touched = known.apply(book);
        match self.config.tell {
            Tell::Books => changes(touched, self.config.depth).then(|| view(known, book.sequence, self.config.depth)),
            Tell::Quotes => {
                let best = (known.best_bid(), known.best_ask());
                (best != before).then(|| quote(best)).flatten()
            }
        }
    }
}

/// Whether a change reaches the view.
fn changes(touched: Touched, depth: usize) -> bool {
    [touched.bids, touched.asks]
        .into_iter()
        .flatten()
        .any(|rank| rank < depth)
}

fn view(book: &OrderBook, sequence: Option<u64>, depth: usize) -> Data {
    let bids: Vec<Level> = book.bids().take(depth).copied().collect();
    let asks: Vec<Level> = book.asks().take(depth).copied().collect();
    Data::Book(Book {
        kind: BookKind::Snapshot,
        sequence,
        levels: Levels::new(&bids, &asks),
        checksum: None,
    })
}

/// A side without a level has no quote.
fn quote((bid, ask): (Option<Level>, Option<Level>)) -> Option<Data> {
    let (bid, ask) = (bid?, ask?);
    Some(Data::Quote(Quote {
        bid: bid.price,
        bid_size: bid.size,
        ask: ask.price,
        ask_size: ask.size,
    }))
}

impl Transform for Top {
    fn name(&self) -> &str {
        "top"
    }

    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()> {
        for event in events {
            match &event.data {
                Data::Book(book) => {
                    let told = self.take_up(&event, book).map(|data| Event { data, ..event.clone() });
                    if self.config.keep {
                        out.events.push(event);
                    }
                    out.events.extend(told);
                }
                // Of trades and candles that a venue no longer has; books are not concerned.
                Data::Gap(gap) if gap.reason == GapReason::Provider => out.events.push(event),
                Data::Gap(_) => {
                    self.books.remove(&(event.exchange, event.symbol));
                    out.events.push(event);
                }
                _ => out.events.push(event),
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        if self.books.is_empty() {
            return Ok(None);
        }
        let books: Vec<_> = self.books.iter().collect();
        let state = serde_json::to_string(&books).map_err(|error| damaged("top.snapshot", error))?;
        Ok(Some(state.into()))
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        let books: Vec<((Exchange, Symbol), OrderBook)> =
            serde_json::from_str(state).map_err(|error| damaged("top.restore", error))?;
        self.books = books.into_iter().collect();
        Ok(())
    }

    fn needs_whole_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
