use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::event::{Data, Event, Instrument, InstrumentKind};
use crate::intern::{Exchange, Label, Symbol};
use crate::time::Timestamp;

/// An instrument as a venue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The canonical symbol.
    pub symbol: Symbol,
    /// The description.
    pub instrument: Instrument,
}

impl Listing {
    /// Which of several that share a symbol is meant by it, lowest first: one that is traded; the thing itself rather
    /// than a contract on it.
    fn rank(&self) -> (bool, bool) {
        use InstrumentKind::{Future, Option, Perpetual};
        let contract = matches!(self.instrument.kind, Future | Perpetual | Option);
        (!self.instrument.active, contract)
    }
}

/// What [`Instruments::update`] made of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Update {
    /// Descriptions, new or known.
    pub instruments: usize,
    /// Events of other kinds, which the table has no use for.
    pub ignored: usize,
}

/// Instruments by venue and name. A clone is the same table.
///
/// Filled by one task and read by all lanes. Lookups take a lock that readers share; who looks up one instrument again and
/// again remembers what was found until the [generation](Instruments::generation) changes.
///
/// ```
/// use qicore_data::{Event, Exchange, Instruments, Label, Symbol};
/// let line = r#"{"type":"instrument","exchange":"kraken","symbol":"BTC/USD","timestamp":"2026-01-01T00:00:00Z",
///     "source":"docs","native":"XBT/USD","base":"BTC","quote":"USD","kind":"spot","active":true,"price_step":"0.1"}"#;
/// let event: Event = serde_json::from_str(line)?;
///
/// let table = Instruments::default();
/// table.update(&[event]);
/// let found = table.by_native(Exchange::new("kraken")?, Label::new("XBT/USD")?).unwrap();
/// assert_eq!(found.symbol, Symbol::new("BTC/USD")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Instruments(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    listings: RwLock<Listings>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Listings {
    by_native: HashMap<(Exchange, Label), Held>,
    /// By rank; among equals the one described last comes first.
    by_symbol: HashMap<(Exchange, Symbol), Vec<Arc<Listing>>>,
}

/// Apart from its time, which changes whenever a venue says the same again.
#[derive(Debug)]
struct Held {
    listing: Arc<Listing>,
    described: Timestamp,
}

impl Instruments {
    fn listings(&self) -> RwLockReadGuard<'_, Listings> {
        self.0.listings.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up the `instrument` events among these. For each venue and native name the description with the newest
    /// time counts, and of those with one time, or without any, the last. Nothing is ever taken out: an instrument
    /// that is gone is described as not active.
    pub fn update<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> Update {
        let (mut update, mut changed) = (Update::default(), false);
        let mut listings = self.0.listings.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if let Data::Instrument(instrument) = &event.data {
                update.instruments += 1;
                changed |= listings.take(event, instrument);
            } else {
                update.ignored += 1;
            }
        }
        if changed {
            // Under the lock: who sees the new number finds the new listings, or waits for them.
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        update
    }

    /// The instrument of this canonical symbol. Where a venue has several (a pair and its futures), the one that is traded
    /// for itself.
    pub fn by_symbol(&self, exchange: Exchange, symbol: Symbol) -> Option<Arc<Listing>> {
        self.listings().by_symbol.get(&(exchange, symbol))?.first().cloned()
    }

    /// The instrument that the venue itself calls so.
    pub fn by_native(&self, exchange: Exchange, native: Label) -> Option<Arc<Listing>> {
        let listings = self.listings();
        Some(Arc::clone(&listings.by_native.get(&(exchange, native))?.listing))
    }

    /// A number that grows whenever an instrument is added or described differently. What was looked up after reading it
    /// is at least as new.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// How many instruments there are.
    pub fn len(&self) -> usize {
        self.listings().by_native.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Listings {
    /// Whether it says anything new.
    fn take(&mut self, event: &Event, instrument: &Instrument) -> bool {
        let key = (event.exchange, instrument.native);
        if let Some(held) = self.by_native.get_mut(&key) {
            let known = event.timestamp != Timestamp::UNKNOWN;
            if known && event.timestamp < held.described {
                return false;
            }
            held.described = event.timestamp;
            if held.listing.symbol == event.symbol && held.listing.instrument == *instrument {
                return false;
            }
            let (old, place) = (Arc::clone(&held.listing), (event.exchange, held.listing.symbol));
            if let Some(listed) = self.by_symbol.get_mut(&place) {
                listed.retain(|listing| !Arc::ptr_eq(listing, &old));
            }
        }
        let listing = Arc::new(Listing {
            symbol: event.symbol,
            instrument: instrument.clone(),
        });
        let listed = self.by_symbol.entry((event.exchange, event.symbol)).or_default();
        let at = listed.partition_point(|other| other.rank() < listing.rank());
        listed.insert(at, Arc::clone(&listing));
        let described = event.timestamp;
        self.by_native.insert(key, Held { listing, described });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn described(native: &str, symbol: &str, at: i64, kind: InstrumentKind, active: bool) -> Event {
        let instrument = Instrument {
            native: native.parse().unwrap(),
            base: "B".parse().unwrap(),
            quote: "Q".parse().unwrap(),
            kind,
            active,
            price_step: None,
            size_step: None,
        };
        let (exchange, source) = (exchange(), Label::new("test").unwrap());
        Event::new(
            exchange,
            symbol.parse().unwrap(),
            Timestamp::from_nanos(at),
            source,
            instrument,
        )
    }

    fn exchange() -> Exchange {
        Exchange::new("venue").unwrap()
    }

    fn native_of(table: &Instruments, symbol: &str) -> Option<&'static str> {
        let found = table.by_symbol(exchange(), symbol.parse().unwrap())?;
        Some(found.instrument.native.as_str())
    }

    #[test]
    fn the_newest_description_counts() {
        use InstrumentKind::Spot;
        let table = Instruments::default();
        let active = |at, active| table.update(&[described("n", "B/Q", at, Spot, active)]);
        let is_active = || {
            table
                .by_native(exchange(), "n".parse().unwrap())
                .unwrap()
                .instrument
                .active
        };
        active(5, true);
        assert_eq!((is_active(), table.generation()), (true, 1));
        active(4, false);
        assert_eq!((is_active(), table.generation()), (true, 1), "older");
        active(7, true);
        assert_eq!((is_active(), table.generation()), (true, 1), "the same again");
        active(6, false);
        assert_eq!((is_active(), table.generation()), (true, 1), "older than the same");
        active(7, false);
        assert_eq!((is_active(), table.generation()), (false, 2), "the last of one time");
        active(0, true);
        assert_eq!((is_active(), table.generation()), (true, 3), "nobody knows when");
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_symbol_means_what_is_traded_for_itself() {
        use InstrumentKind::{Perpetual, Spot};
        let table = Instruments::default();
        table.update(&[described("perp", "B/Q", 1, Perpetual, true)]);
        assert_eq!(native_of(&table, "B/Q"), Some("perp"));
        table.update(&[described("spot", "B/Q", 1, Spot, true)]);
        table.update(&[described("perp-2", "B/Q", 2, Perpetual, true)]);
        assert_eq!(native_of(&table, "B/Q"), Some("spot"));
        table.update(&[described("spot", "B/Q", 2, Spot, false)]);
        assert_eq!(native_of(&table, "B/Q"), Some("perp-2"), "no longer traded");
        table.update(&[described("perp-2", "C/Q", 3, Perpetual, true)]);
        assert_eq!(native_of(&table, "B/Q"), Some("perp"), "moved to another symbol");
        assert_eq!(native_of(&table, "C/Q"), Some("perp-2"));
    }

    #[test]
    fn other_events_and_other_venues_are_kept_apart() {
        let table = Instruments::default();
        let elsewhere = Event {
            exchange: Exchange::new("elsewhere").unwrap(),
            ..described("n", "B/Q", 1, InstrumentKind::Spot, true)
        };
        let update = table.update(&[elsewhere, crate::batch::tests::event(1)]);
        assert_eq!((update.instruments, update.ignored, table.len()), (1, 1, 1));
        assert_eq!(native_of(&table, "B/Q"), None);
    }

    proptest! {
        /// However often instruments change and move: both ways lead to what was said last.
        #[test]
        fn both_names_agree(steps in prop::collection::vec((0u8..5, 0u8..3, 0usize..3, any::<bool>()), 0..60)) {
            let kinds = [InstrumentKind::Spot, InstrumentKind::Perpetual, InstrumentKind::Future];
            let table = Instruments::default();
            let mut last: HashMap<String, Event> = HashMap::new();
            for (at, (native, symbol, kind, active)) in (1..).zip(steps) {
                let event = described(&format!("n{native}"), &format!("S{symbol}/Q"), at, kinds[kind], active);
                table.update([&event]);
                last.insert(format!("n{native}"), event);
            }
            prop_assert_eq!(table.len(), last.len());
            for symbol in (0..3).map(|number| format!("S{number}/Q")) {
                let symbol: Symbol = symbol.parse().unwrap();
                let best = last.values().filter(|event| event.symbol == symbol).map(|event| {
                    let Data::Instrument(instrument) = &event.data else { unreachable!() };
                    Listing { symbol, instrument: instrument.clone() }.rank()
                }).min();
                let found = table.by_symbol(exchange(), symbol);
                prop_assert_eq!(found.as_ref().map(|found| found.rank()), best);
                if let Some(found) = found {
                    let said = &last[found.instrument.native.as_str()];
                    prop_assert_eq!(said, &Event { data: found.instrument.clone().into(), ..said.clone() });
                }
            }
        }
    }
}
