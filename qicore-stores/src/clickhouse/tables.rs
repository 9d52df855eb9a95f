//! The tables, their columns and keys.

use std::sync::LazyLock;

use qicore_data::columns::{self, Kind};
use qicore_data::{EventType, Timeframe};

/// How a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// `LowCardinality(String)`.
    Name,
    /// `Enum8` of these words, numbered from 1, and of the empty one.
    Word(&'static [&'static str]),
    /// `String`, empty where there is none.
    Text,
    /// An exact decimal, or a double: see [`Decimals`](super::Decimals).
    Decimal,
    /// The same, or null.
    MaybeDecimal,
    /// `DateTime64(9, 'UTC')`.
    Time,
    /// The same, or null.
    MaybeTime,
    /// `UInt64`.
    Count,
    /// The same, or null.
    MaybeCount,
    /// `Bool`.
    Flag,
    /// `Array(Tuple(price …, size …))`.
    Levels,
    /// `String` with a JSON object, `{}` where there is none.
    Object,
}

/// A column that is made of an event.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: &'static str,
    pub(super) stored: Stored,
}

/// A column that tells rows apart and orders them, beside those of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// `version`: of rows with one key the one with the highest stays, and of those alike the last.
    Version,
    /// `seq`: the row's number in its lane, which is the same whenever it is written again.
    Sequence,
    /// `lane`: which lane of which pipeline and sink.
    Lane,
    /// `twin`: nought for a trade with an id, else a number made of lane and `seq`.
    Twin,
}

impl Mark {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Sequence => "seq",
            Self::Lane => "lane",
            Self::Twin => "twin",
        }
    }
}

/// A table for one kind of event.
#[derive(Debug)]
pub struct Table {
    /// The kind.
    pub event_type: EventType,
    /// The name, without the database.
    pub name: &'static str,
    /// What its rows are replaced by.
    pub(super) key: &'static [&'static str],
    /// Which columns order rows that are read.
    pub(super) order: &'static [&'static str],
    /// What the event says.
    pub(super) columns: Vec<TableColumn>,
    /// What comes behind it.
    pub(super) marks: &'static [Mark],
}

struct Shape {
    event_type: EventType,
    name: &'static str,
    key: &'static [&'static str],
    order: &'static [&'static str],
    marks: &'static [Mark],
}

const ARRIVAL: &[&str] = &["timestamp", "seq", "symbol", "exchange", "lane"];
const UNKEYED: &[&str] = &["symbol", "exchange", "timestamp", "seq", "lane"];

const fn unkeyed(event_type: EventType, name: &'static str) -> Shape {
    Shape {
        event_type,
        name,
        key: UNKEYED,
        order: ARRIVAL,
        marks: &[Mark::Sequence, Mark::Lane],
    }
}

const SHAPES: &[Shape] = &[
    Shape {
        event_type: EventType::Instrument,
        name: "instruments",
        key: &["exchange", "native", "kind"],
        order: &["timestamp", "exchange", "native", "kind"],
        marks: &[Mark::Version],
    },
    Shape {
        event_type: EventType::Trade,
        name: "trades",
        key: &["symbol", "exchange", "timestamp", "id", "twin"],
        order: &["timestamp", "seq", "symbol", "exchange", "id", "twin"],
        marks: &[Mark::Sequence, Mark::Twin, Mark::Version],
    },
    unkeyed(EventType::Quote, "quotes"),
    unkeyed(EventType::Ticker, "tickers"),
    unkeyed(EventType::Book, "books"),
    Shape {
        event_type: EventType::Candle,
        name: "ohlcv",
        key: &["symbol", "exchange", "timeframe", "timestamp"],
        order: &["timestamp", "symbol", "exchange", "timeframe"],
        marks: &[Mark::Version],
    },
    Shape {
        event_type: EventType::Price,
        name: "prices",
        key: &["symbol", "exchange", "timestamp"],
        order: &["timestamp", "symbol", "exchange"],
        marks: &[Mark::Version],
    },
    Shape {
        event_type: EventType::Series,
        name: "series",
        key: &["symbol", "exchange", "name", "params", "timestamp"],
        order: &["timestamp", "symbol", "exchange", "name", "params"],
        marks: &[Mark::Version],
    },
    Shape {
        event_type: EventType::Gap,
        name: "gaps",
        key: &["symbol", "exchange", "reason", "from_time", "to_time"],
        order: &["timestamp", "symbol", "exchange", "reason", "from_time", "to_time"],
        marks: &[Mark::Version],
    },
    unkeyed(EventType::Alert, "alerts"),
];

/// The words of a column that has no others. New ones go to the end, with a migration.
fn words(event_type: EventType, column: &str) -> Option<&'static [&'static str]> {
    static TIMEFRAMES: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| Timeframe::ALL.iter().map(|frame| frame.as_str()).collect());
    Some(match (column, event_type) {
        ("timeframe", _) => &TIMEFRAMES,
        ("quality", _) => &["high", "medium", "low"],
        ("origin", _) => &["rest", "websocket", "built"],
        ("side", _) => &["buy", "sell"],
        ("kind", EventType::Book) => &["snapshot", "delta"],
        ("kind", EventType::Instrument) => &["spot", "stock", "forex", "index", "future", "perpetual", "option"],
        ("checksum", _) => &["ok", "mismatch"],
        ("reason", _) => &["disconnect", "sequence", "checksum", "overflow", "provider"],
        ("severity", _) => &["info", "warning", "critical"],
        _ => return None,
    })
}

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| SHAPES.iter().map(Table::new).collect());

impl Table {
    /// All tables.
    pub fn all() -> &'static [Self] {
        &TABLES
    }

    /// The table of a kind. `None` for a kind that this version has no table for.
    pub fn of(event_type: EventType) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.event_type == event_type)
    }

    fn new(shape: &Shape) -> Self {
        let layout = columns::columns(shape.event_type);
        let columns = layout.iter().map(|column| {
            let stored = match (column.name, column.kind, column.required) {
                // Ids and messages are all different, and instruments are many.
                ("id" | "message" | "native", ..) => Stored::Text,
                (name, Kind::Text, _) => words(shape.event_type, name).map_or(Stored::Name, Stored::Word),
                (_, Kind::Decimal, true) => Stored::Decimal,
                (_, Kind::Decimal, false) => Stored::MaybeDecimal,
                (_, Kind::Time, true) => Stored::Time,
                (_, Kind::Time, false) => Stored::MaybeTime,
                (_, Kind::Count, true) => Stored::Count,
                (_, Kind::Count, false) => Stored::MaybeCount,
                (_, Kind::Flag, _) => Stored::Flag,
                (_, Kind::Levels, _) => Stored::Levels,
                (_, Kind::Json, _) => Stored::Object,
            };
            let name = match column.name {
                // Words of SQL.
                "from" => "from_time",
                "to" => "to_time",
                name => name,
            };
            TableColumn { name, stored }
        });
        Self {
            event_type: shape.event_type,
            name: shape.name,
            key: shape.key,
            order: shape.order,
            columns: columns.collect(),
            marks: shape.marks,
        }
    }

    /// The columns that are written and read, in order: those of the event, then those that tell rows apart.
    pub fn column_names(&self) -> impl Iterator<Item = &'static str> {
        let own = self.columns.iter().map(|column| column.name);
        own.chain(self.marks.iter().map(|mark| mark.name()))
    }

    /// The column by which of two rows of one key the newer one is told. None where the one written last stays.
    pub(super) fn version(&self) -> &'static str {
        let version = self.marks.iter().find(|mark| **mark == Mark::Version);
        version.map_or("", |mark| mark.name())
    }

    /// The columns that a selection by time is made on, as the table is partitioned.
    pub(super) fn is_by_time(&self) -> bool {
        self.event_type != EventType::Instrument
    }
}
