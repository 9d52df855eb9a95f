//! The table of all types' columns.

use std::borrow::Cow;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::value::Value;
use super::{Cell, Column, Object};
use crate::error::{Error, Result};
use crate::event::{
    Alert, Book, BookKind, Candle, Checksum, Data, Event, EventType, Gap, GapReason, Instrument, InstrumentKind, Level,
    Levels, Origin, Price, Quality, Quote, Series, Severity, Side, Ticker, Trade, TradeId,
};
use crate::intern::{Exchange, Label, Symbol};
use crate::time::Timestamp;
use crate::timeframe::Timeframe;

/// Takes an event's values one after the other, in the order of its columns.
struct Row<'a, F> {
    columns: std::slice::Iter<'a, Column>,
    at: usize,
    cell: F,
}

impl<'c, F: FnMut(usize) -> Result<Cell<'c>>> Row<'_, F> {
    fn next<T: Value>(&mut self) -> Result<T> {
        let (at, name) = (self.at, self.columns.next().map_or("", |column| column.name));
        self.at += 1;
        T::take((self.cell)(at)?).map_err(|message| Error::decode("columns.event", message).with("column", name))
    }
}

const fn after_header<const N: usize>(own: &[Column]) -> [Column; N] {
    let mut all = [HEADER[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < HEADER.len() {
            HEADER[at]
        } else {
            own[at - HEADER.len()]
        };
        at += 1;
    }
    all
}

/// The column of a field: `$of` finds it in an event, if it is there.
macro_rules! column {
    ($name:expr, $type:ty, |$event:ident| $of:expr) => {
        Column {
            name: $name,
            kind: <$type as Value>::KIND,
            required: <$type as Value>::REQUIRED,
            read: |$event| $of.map_or(Cell::Absent, <$type as Value>::cell),
            text: |$event| $of.and_then(<$type as Value>::text),
            decimal: |$event| $of.and_then(<$type as Value>::decimal),
        }
    };
}

/// Writes the table of all types. The fields of a struct are listed in the order of the normalised JSON.
macro_rules! layout {
    (
        header { $($common:ident: $common_type:ty,)+ }
        fields { $($variant:ident { $($field:ident: $type:ty,)+ })+ }
        special { $($special:ident: $special_columns:expr, $special_read:expr;)+ }
    ) => {
        const HEADER: &[Column] = &[$(column!(stringify!($common), $common_type, |event| Some(&event.$common)),)+];

        /// The columns of a type's files, in order. Never empty.
        pub const fn columns(event_type: EventType) -> &'static [Column] {
            match event_type {
                $(EventType::$variant => {
                    const OWN: &[Column] = &[$(column!(stringify!($field), $type, |event| match &event.data {
                        Data::$variant(data) => Some(&data.$field),
                        _ => None,
                    }),)+];
                    const ALL: &[Column] = &after_header::<{ HEADER.len() + OWN.len() }>(OWN);
                    ALL
                })+
                $(EventType::$special => {
                    const ALL: &[Column] = &after_header::<{ HEADER.len() + $special_columns.len() }>($special_columns);
                    ALL
                })+
            }
        }

        /// Puts an event together: `cell` gives the value of the column at an index of [`columns`], and is asked for
        /// each once, in order.
        ///
        /// # Errors
        /// What `cell` fails with, and [`Decode`](crate::ErrorKind::Decode), naming the column, where a value is
        /// missing, of another kind or not in the column's range.
        pub fn event<'c>(event_type: EventType, cell: impl FnMut(usize) -> Result<Cell<'c>>) -> Result<Event> {
            let mut row = Row { columns: columns(event_type).iter(), at: 0, cell };
            $(let $common = row.next()?;)+
            let data = match event_type {
                $(EventType::$variant => Data::$variant($variant { $($field: row.next()?,)+ }),)+
                $(EventType::$special => Data::$special($special_read(&mut row)?),)+
            };
            Ok(Event { $($common,)+ enrichment: None, data })
        }
    };
}

layout! {
    header {
        exchange: Exchange,
        symbol: Symbol,
        timestamp: Timestamp,
        received: Option<Timestamp>,
        source: Label,
        quality: Quality,
    }
    fields {
        Trade { id: Option<TradeId>, side: Option<Side>, price: Decimal, size: Decimal, }
        Quote { bid: Decimal, bid_size: Decimal, ask: Decimal, ask_size: Decimal, }
        Ticker {
            last: Decimal,
            bid: Option<Decimal>,
            ask: Option<Decimal>,
            open: Option<Decimal>,
            high: Option<Decimal>,
            low: Option<Decimal>,
            volume: Option<Decimal>,
            quote_volume: Option<Decimal>,
        }
        Candle {
            timeframe: Timeframe,
            open: Decimal,
            high: Decimal,
            low: Decimal,
            close: Decimal,
            volume: Decimal,
            quote_volume: Option<Decimal>,
            trades: Option<u64>,
            closed: bool,
            origin: Origin,
            revision: u32,
        }
        Price {
            price: Decimal,
            market_cap: Option<Decimal>,
            volume_24h: Option<Decimal>,
            change_24h: Option<Decimal>,
        }
        Instrument {
            native: Label,
            base: Label,
            quote: Label,
            kind: InstrumentKind,
            active: bool,
            price_step: Option<Decimal>,
            size_step: Option<Decimal>,
        }
        Series { name: Label, value: Decimal, params: Option<Arc<Object>>, }
        Gap { from: Timestamp, to: Timestamp, reason: GapReason, missed: Option<u64>, }
        Alert {
            rule: Label,
            severity: Severity,
            message: Arc<str>,
            value: Option<Decimal>,
            threshold: Option<Decimal>,
        }
    }
    special {
        Book: BOOK, read_book;
    }
}

fn book(event: &Event) -> Option<&Book> {
    match &event.data {
        Data::Book(book) => Some(book),
        _ => None,
    }
}

/// A book keeps both sides in one allocation, so that its sides are no fields.
const fn side(name: &'static str, read: fn(&Event) -> Cell<'_>) -> Column {
    Column {
        name,
        kind: <Vec<Level> as Value>::KIND,
        required: <Vec<Level> as Value>::REQUIRED,
        read,
        text: |_| None,
        decimal: |_| None,
    }
}

const BOOK: &[Column] = &[
    column!("kind", BookKind, |event| book(event).map(|book| &book.kind)),
    column!("sequence", Option<u64>, |event| book(event).map(|book| &book.sequence)),
    side("bids", |event| {
        book(event).map_or(Cell::Absent, |book| Cell::Levels(Cow::Borrowed(book.levels.bids())))
    }),
    side("asks", |event| {
        book(event).map_or(Cell::Absent, |book| Cell::Levels(Cow::Borrowed(book.levels.asks())))
    }),
    column!("checksum", Option<Checksum>, |event| book(event)
        .map(|book| &book.checksum)),
];

fn read_book<'c, F: FnMut(usize) -> Result<Cell<'c>>>(row: &mut Row<'_, F>) -> Result<Book> {
    let (kind, sequence) = (row.next()?, row.next()?);
    let (bids, asks): (Vec<Level>, Vec<Level>) = (row.next()?, row.next()?);
    Ok(Book {
        kind,
        sequence,
        levels: Levels::new(&bids, &asks),
        checksum: row.next()?,
    })
}
