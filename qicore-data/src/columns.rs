//! The flat columns of events: one layout for every tabular format, and the way back.
//!
//! Each [`EventType`] has its own columns: the header that all types share, then the type's own in the order of the
//! normalised JSON. A [`Column`] gives the [`Cell`] of an event; [`event`] puts an event together from cells.
//!
//! ```
//! use qicore_data::columns::{self, Cell};
//! use qicore_data::EventType;
//! # let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1.50","size":"2"}"#;
//! # let event: qicore_data::Event = serde_json::from_str(line).unwrap();
//! let layout = columns::columns(EventType::Trade);
//! let names: Vec<_> = layout.iter().map(|column| column.name).collect();
//! assert_eq!(names[6..], ["id", "side", "price", "size"]);
//! assert!(matches!(layout[6].cell(&event), Cell::Absent));
//! assert_eq!(columns::event(EventType::Trade, |at| Ok(layout[at].cell(&event)))?, event);
//! # Ok::<(), qicore_data::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::decimal::{self, DecimalText};
use crate::error::{Error, Result};
use crate::event::{
    Alert, Book, BookKind, Candle, Checksum, Data, Event, EventType, Gap, GapReason, Instrument, InstrumentKind, Level,
    Levels, Origin, Price, Quality, Quote, Series, Severity, Side, Ticker, Trade, TradeId,
};
use crate::intern::{Exchange, Label, Symbol};
use crate::time::{Timestamp, TimestampText};
use crate::timeframe::Timeframe;

/// A JSON object.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// An exact decimal.
    Decimal,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// A whole number, not negative.
    Count,
    /// True or false.
    Flag,
    /// One side of a book: prices and sizes.
    Levels,
    /// A JSON object.
    Json,
}

/// A column of one event type.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name, unique within its type.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Every event has a value.
    pub required: bool,
    read: fn(&Event) -> Cell<'_>,
}

impl Column {
    /// The event's value; [`Cell::Absent`] for an event of another type.
    #[inline]
    pub fn cell<'a>(&self, event: &'a Event) -> Cell<'a> {
        (self.read)(event)
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Absent,
    /// [`Kind::Text`].
    Text(Cow<'a, str>),
    /// [`Kind::Text`] that is a number without leading zeros: trade ids are kept so, and need no allocation.
    Digits(u64),
    /// [`Kind::Decimal`].
    Decimal(Decimal),
    /// [`Kind::Time`].
    Time(Timestamp),
    /// [`Kind::Count`].
    Count(u64),
    /// [`Kind::Flag`].
    Flag(bool),
    /// [`Kind::Levels`].
    Levels(Cow<'a, [Level]>),
    /// [`Kind::Json`].
    Json(Cow<'a, Object>),
}

impl Cell<'_> {
    /// Appends the value's text, as in the normalised JSON; levels and objects as JSON, nothing where it is absent.
    pub fn push_text(&self, out: &mut String) {
        match self {
            Self::Absent => {}
            Self::Text(text) => out.push_str(text),
            Self::Digits(number) | Self::Count(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Decimal(value) => out.push_str(DecimalText::new(*value).as_str()),
            Self::Time(at) => out.push_str(TimestampText::new(*at).as_str()),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            // Writing to memory cannot fail, and both have only text as keys.
            Self::Levels(levels) => out.push_str(&serde_json::to_string(levels).unwrap_or_default()),
            Self::Json(object) => out.push_str(&serde_json::to_string(object).unwrap_or_default()),
        }
    }
}

impl Kind {
    /// Reads what [`Cell::push_text`] wrote. An empty text is an absent value.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the text is no value of this kind.
    pub fn parse(self, text: &str) -> Result<Cell<'_>> {
        fn told(error: impl fmt::Display) -> String {
            error.to_string()
        }
        if text.is_empty() {
            return Ok(Cell::Absent);
        }
        let cell = match self {
            Self::Text => Ok(Cell::Text(Cow::Borrowed(text))),
            Self::Decimal => decimal::parse(text).map(Cell::Decimal).map_err(told),
            Self::Time => text.parse().map(Cell::Time).map_err(told),
            Self::Count => text.parse().map(Cell::Count).map_err(told),
            Self::Flag => text.parse().map(Cell::Flag).map_err(told),
            Self::Levels => serde_json::from_str(text)
                .map(|levels: Vec<Level>| Cell::Levels(Cow::Owned(levels)))
                .map_err(told),
            Self::Json => serde_json::from_str(text)
                .map(|object| Cell::Json(Cow::Owned(object)))
                .map_err(told),
        };
        cell.map_err(|message| Error::decode("columns.parse", message).with("text", clip(text)))
    }
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(at, _)| &text[..at])
}

/// A field's type as a column holds it.
trait Value: Sized {
    const KIND: Kind;
    const REQUIRED: bool = true;

    fn cell(&self) -> Cell<'_>;

    /// Takes the value out of a cell; the error says what the cell is instead.
    fn take(cell: Cell<'_>) -> Result<Self, String>;
}

fn unfit<T>(kind: Kind, cell: &Cell<'_>) -> Result<T, String> {
    Err(match cell {
        Cell::Absent => "the value is missing".to_owned(),
        other => format!("not a {kind:?}: {other:?}").to_lowercase(),
    })
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;

    #[inline]
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Absent, T::cell)
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Absent => Ok(None),
            cell => T::take(cell).map(Some),
        }
    }
}

/// Types that are what their cell holds.
macro_rules! plain {
    ($($type:ty: $kind:ident,)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::$kind;

            #[inline]
            fn cell(&self) -> Cell<'_> {
                Cell::$kind(*self)
            }

            fn take(cell: Cell<'_>) -> Result<Self, String> {
                match cell {
                    Cell::$kind(value) => Ok(value),
                    other => unfit(Self::KIND, &other),
                }
            }
        }
    )+};
}

plain! {
    Decimal: Decimal,
    Timestamp: Time,
    u64: Count,
    bool: Flag,
}

/// Types with a fixed text for each value, which they can be read from.
macro_rules! named {
    ($($type:ty,)+) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Text;

            #[inline]
            fn cell(&self) -> Cell<'_> {
                Cell::Text(Cow::Borrowed(self.as_str()))
            }

            fn take(cell: Cell<'_>) -> Result<Self, String> {
                let text = text(cell)?;
                Self::from_str(&text).map_err(|error| error.to_string())
            }
        }
    )+};
}

named! { Exchange, Symbol, Label, Quality, Side, BookKind, Checksum, Timeframe, Origin, InstrumentKind, GapReason, Severity, }

fn text(cell: Cell<'_>) -> Result<Cow<'_, str>, String> {
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Digits(number) => Ok(Cow::Owned(number.to_string())),
        other => unfit(Kind::Text, &other),
    }
}

impl Value for TradeId {
    const KIND: Kind = Kind::Text;

    #[inline]
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Number(number) => Cell::Digits(*number),
            Self::Text(text) => Cell::Text(Cow::Borrowed(text)),
        }
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Digits(number) => Ok(Self::Number(number)),
            cell => text(cell).map(|text| Self::new(&text)),
        }
    }
}

impl Value for Arc<str> {
    const KIND: Kind = Kind::Text;

    fn cell(&self) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            // A format that cannot tell an empty text from none: the value is required, so it was empty.
            Cell::Absent => Ok("".into()),
            cell => text(cell).map(Self::from),
        }
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::Count;

    fn cell(&self) -> Cell<'_> {
        Cell::Count(u64::from(*self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        Self::try_from(u64::take(cell)?).map_err(|_| "more than 32 bits".to_owned())
    }
}

impl Value for Vec<Level> {
    const KIND: Kind = Kind::Levels;

    fn cell(&self) -> Cell<'_> {
        Cell::Levels(Cow::Borrowed(self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Levels(levels) => Ok(levels.into_owned()),
            other => unfit(Self::KIND, &other),
        }
    }
}

impl Value for Arc<Object> {
    const KIND: Kind = Kind::Json;

    fn cell(&self) -> Cell<'_> {
        Cell::Json(Cow::Borrowed(self))
    }

    fn take(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Json(object) => Ok(Self::new(object.into_owned())),
            other => unfit(Self::KIND, &other),
        }
    }
}

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

/// The column of a field: `$of` finds what the field is in.
macro_rules! column {
    ($name:expr, $type:ty, |$event:ident| $of:expr) => {
        Column {
            name: $name,
            kind: <$type as Value>::KIND,
            required: <$type as Value>::REQUIRED,
            read: |$event| $of,
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
        const HEADER: &[Column] = &[$(column!(stringify!($common), $common_type, |event| event.$common.cell()),)+];

        /// The columns of a type's files, in order. Never empty.
        pub const fn columns(event_type: EventType) -> &'static [Column] {
            match event_type {
                $(EventType::$variant => {
                    const OWN: &[Column] = &[$(column!(stringify!($field), $type, |event| match &event.data {
                        Data::$variant(data) => data.$field.cell(),
                        _ => Cell::Absent,
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
            Ok(Event { $($common,)+ data })
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
const BOOK: &[Column] = &[
    column!("kind", BookKind, |event| book(event)
        .map_or(Cell::Absent, |book| book.kind.cell())),
    column!("sequence", Option<u64>, |event| book(event)
        .map_or(Cell::Absent, |book| book.sequence.cell())),
    column!("bids", Vec<Level>, |event| book(event).map_or(Cell::Absent, |book| {
        Cell::Levels(Cow::Borrowed(book.levels.bids()))
    })),
    column!("asks", Vec<Level>, |event| book(event).map_or(Cell::Absent, |book| {
        Cell::Levels(Cow::Borrowed(book.levels.asks()))
    })),
    column!("checksum", Option<Checksum>, |event| book(event)
        .map_or(Cell::Absent, |book| book.checksum.cell())),
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
