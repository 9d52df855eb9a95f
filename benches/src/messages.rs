//! Events as messages of a broker.

use qicore::prelude::*;
use qicore::stores::messages::Encoding;
use qicore::{Book, BookKind, Decimal, Level, Levels, Quote};

use crate::{Result, rows};

/// Events of one kind, as often as a bench has them in turn: more than the processor learns by heart.
const EVENTS: u64 = 500;
/// Levels on each side of a book.
const DEPTH: i64 = 20;

/// Events of a kind, in memory and as messages.
pub struct Messages {
    /// What they are.
    pub name: &'static str,
    /// The events.
    pub events: Vec<Event>,
}

impl Messages {
    /// The kinds that there are many of.
    pub fn all() -> Result<Vec<Self>> {
        let trades = rows::events(EventType::Trade, EVENTS)?;
        let like = |make: &dyn Fn(i64) -> qicore::Data| -> Vec<Event> {
            let data = |(number, event): (usize, &Event)| Event {
                data: make(number as i64),
                ..event.clone()
            };
            trades.iter().enumerate().map(data).collect()
        };
        Ok(vec![
            Self {
                name: "quote",
                events: like(&|number| quote(number).into()),
            },
            Self {
                name: "candle",
                events: rows::events(EventType::Candle, EVENTS)?,
            },
            Self {
                name: "book",
                events: like(&|number| book(number).into()),
            },
            Self {
                name: "trade",
                events: trades,
            },
        ])
    }

    /// The messages.
    pub fn encoded(&self, encoding: Encoding) -> Result<Vec<Vec<u8>>> {
        let message = |event: &Event| {
            let mut payload = Vec::new();
            encoding.encode(event, &mut payload)?;
            Ok(payload)
        };
        self.events.iter().map(message).collect()
    }
}

fn quote(number: i64) -> Quote {
    Quote {
        bid: cents(6_712_345 - number),
        bid_size: size(number),
        ask: cents(6_712_346 + number),
        ask_size: size(number + 1),
    }
}

fn book(number: i64) -> Book {
    let side = |step: i64| -> Vec<Level> {
        let level = |at: i64| Level::new(cents(6_712_345 + number + step * at), size(number + at));
        (0..DEPTH).map(level).collect()
    };
    Book {
        kind: BookKind::Snapshot,
        sequence: Some(48_213_345_678 + number as u64),
        levels: Levels::new(&side(-7), &side(7)),
        checksum: None,
    }
}

fn cents(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

/// Sizes between nothing and a coin, to the eighth digit.
fn size(number: i64) -> Decimal {
    Decimal::new(1 + number * 829_345_751 % 99_999_989, 8)
}
