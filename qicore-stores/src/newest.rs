//! The newest price of each symbol, whatever kind of event tells it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use qicore_data::{Event, EventType, Exchange, Symbol};

/// The kinds that tell a price.
pub(crate) const PRICES: [EventType; 4] = [EventType::Trade, EventType::Ticker, EventType::Quote, EventType::Price];

/// Of two prices of one symbol at one venue the newer one stays.
pub(crate) fn keep_newest(newest: &mut BTreeMap<(Symbol, Exchange), Event>, event: Event) {
    match newest.entry((event.symbol, event.exchange)) {
        Entry::Vacant(entry) => {
            entry.insert(event);
        }
        Entry::Occupied(mut entry) if event.timestamp > entry.get().timestamp => {
            entry.insert(event);
        }
        Entry::Occupied(_) => {}
    }
}
