//! The tables, their columns and keys, and the statements that write and read them.

use std::sync::LazyLock;

use qicore_data::EventType;
use qicore_data::columns::{self, Kind};

use super::schema::quoted;
use super::{each, small};

/// The column that keeps the order of arrival.
pub(super) const SEQUENCE: &str = "seq";

/// How a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// `text`.
    Text,
    /// `numeric`.
    Numeric,
    /// `timestamptz`, and the nanoseconds beyond the microsecond as `smallint` in the column behind it.
    Time,
    /// `timestamptz`, which has to be a whole number of microseconds.
    WholeTime,
    /// `bigint`.
    Count,
    /// `boolean`.
    Flag,
    /// `numeric[]` of prices and sizes in turn.
    Levels,
    /// `jsonb`, empty where there is none.
    Object,
    /// `interval`.
    Interval,
}

/// A column of a table, and the column of the event that it is made of.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: &'static str,
    pub(super) stored: Stored,
    /// Its place among the event's [`columns::columns`].
    pub(super) cell: usize,
}

impl TableColumn {
    /// Its columns in the database: a time with nanoseconds has two.
    fn names(&self) -> impl Iterator<Item = String> {
        let nanos = (self.stored == Stored::Time).then(|| format!("{}_ns", self.name));
        std::iter::once(self.name.to_owned()).chain(nanos)
    }
}

/// A table for one kind of event.
#[derive(Debug)]
pub struct Table {
    /// The kind.
    pub event_type: EventType,
    /// The name, without the schema.
    pub name: &'static str,
    /// The columns of its unique key; empty where rows are only added.
    pub(super) key: &'static [&'static str],
    /// Which columns order rows of one time.
    order: &'static str,
    pub(super) columns: Vec<TableColumn>,
    /// How many columns of the database they are.
    pub(super) fields: i16,
}

/// The name and key of each kind's table.
struct Shape(EventType, &'static str, &'static [&'static str], &'static str);

const SHAPES: &[Shape] = &[
    Shape(
        EventType::Instrument,
        "instruments",
        &["exchange", "native", "kind"],
        "timestamp, timestamp_ns, exchange, native, kind",
    ),
    Shape(
        EventType::Trade,
        "trades",
        &["symbol", "exchange", "timestamp", "id"],
        "timestamp, timestamp_ns, seq",
    ),
    Shape(EventType::Quote, "quotes", &[], "timestamp, timestamp_ns, seq"),
    Shape(EventType::Ticker, "tickers", &[], "timestamp, timestamp_ns, seq"),
    Shape(EventType::Book, "books", &[], "timestamp, timestamp_ns, seq"),
    Shape(
        EventType::Candle,
        "ohlcv",
        &["symbol", "exchange", "timeframe", "timestamp"],
        "timestamp, symbol, exchange, timeframe",
    ),
    Shape(
        EventType::Price,
        "prices",
        &["symbol", "exchange", "timestamp", "timestamp_ns"],
        "timestamp, timestamp_ns, symbol, exchange",
    ),
    Shape(
        EventType::Series,
        "series",
        &["symbol", "exchange", "name", "params", "timestamp", "timestamp_ns"],
        "timestamp, timestamp_ns, symbol, exchange, name, params",
    ),
    Shape(
        EventType::Gap,
        "gaps",
        &[
            "symbol",
            "exchange",
            "reason",
            "from_time",
            "from_time_ns",
            "to_time",
            "to_time_ns",
        ],
        "timestamp, timestamp_ns, symbol, exchange, reason, from_time, from_time_ns, to_time, to_time_ns",
    ),
    Shape(EventType::Alert, "alerts", &[], "timestamp, timestamp_ns, seq"),
];

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| SHAPES.iter().map(Table::new).collect());

impl Table {
    /// All tables, in the order in which every writer takes their locks.
    pub fn all() -> &'static [Self] {
        &TABLES
    }

    /// The table of a kind. `None` for a kind that this version has no table for.
    pub fn of(event_type: EventType) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.event_type == event_type)
    }

    fn new(Shape(event_type, name, key, order): &Shape) -> Self {
        let layout = columns::columns(*event_type);
        let columns = layout.iter().enumerate().map(|(cell, column)| {
            let stored = match (column.name, column.kind, event_type) {
                ("timeframe", ..) => Stored::Interval,
                ("timestamp", _, EventType::Candle) => Stored::WholeTime,
                (_, Kind::Text, _) => Stored::Text,
                (_, Kind::Decimal, _) => Stored::Numeric,
                (_, Kind::Time, _) => Stored::Time,
                (_, Kind::Count, _) => Stored::Count,
                (_, Kind::Flag, _) => Stored::Flag,
                (_, Kind::Levels, _) => Stored::Levels,
                (_, Kind::Json, _) => Stored::Object,
            };
            let name = match column.name {
                // Reserved words.
                "from" => "from_time",
                "to" => "to_time",
                name => name,
            };
            TableColumn { name, stored, cell }
        });
        let columns: Vec<TableColumn> = columns.collect();
        Self {
            fields: columns.iter().flat_map(TableColumn::names).count() as i16,
            event_type: *event_type,
            name,
            key,
            order,
            columns,
        }
    }

    /// Whether rows have a key by which they are told to be there already.
    pub fn is_keyed(&self) -> bool {
        !self.key.is_empty()
    }

    /// The columns that are written and read, in order: what a `COPY` of [`Rows`](super::write::Rows) names.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(TableColumn::names).collect()
    }

    /// Whether a column is a part of the key.
    pub fn has_key(&self, column: &str) -> bool {
        self.key.contains(&column)
    }

    /// The columns with their types, as a definition of a row has them.
    pub(super) fn definitions(&self) -> Vec<String> {
        self.defined("jsonb")
    }

    /// The columns of the staging table, which takes whatever is copied into it: what is no JSON to the server is
    /// refused when it is [taken](Self::taken) from there.
    fn staged(&self) -> Vec<String> {
        self.defined("bytea")
    }

    /// The columns as they are taken from the staging table.
    fn taken(&self) -> Vec<String> {
        let of = |column: &TableColumn| match column.stored {
            // Before the text there is a byte for the version of the binary form.
            Stored::Object => vec![format!(
                "CAST(convert_from(substr({}, 2), 'UTF8') AS jsonb)",
                column.name
            )],
            _ => column.names().collect(),
        };
        self.columns.iter().flat_map(of).collect()
    }

    fn defined(&self, object: &str) -> Vec<String> {
        let of = |column: &TableColumn| {
            let types = match column.stored {
                Stored::Text => ["text", ""],
                Stored::Numeric => ["numeric", ""],
                Stored::Time => ["timestamptz", "smallint"],
                Stored::WholeTime => ["timestamptz", ""],
                Stored::Count => ["bigint", ""],
                Stored::Flag => ["boolean", ""],
                Stored::Levels => ["numeric[]", ""],
                Stored::Object => [object, ""],
                Stored::Interval => ["interval", ""],
            };
            let named = column.names().zip(types);
            named.map(|(name, of)| format!("{name} {of}")).collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(of).collect()
    }

    /// The columns that the table is read in order of.
    pub(super) fn ordered_by(&self) -> impl Iterator<Item = &'static str> {
        self.order.split(", ")
    }

    /// The type of a column that orders rows.
    pub(super) fn type_of(name: &str) -> &'static str {
        match name {
            "timestamp" | "from_time" | "to_time" => "timestamptz",
            "timeframe" => "interval",
            "params" => "jsonb",
            SEQUENCE => "bigint",
            name if name.ends_with("_ns") => "smallint",
            _ => "text",
        }
    }
}

/// The statements of one table in one schema.
#[derive(Debug)]
pub(super) struct Statements {
    /// Rows straight into the table.
    pub(super) copy: String,
    /// Makes the session's staging table.
    pub(super) stage: String,
    /// From there into the table, noting the rows that are refused.
    pub(super) each: String,
    /// Rows into the staging table.
    pub(super) copy_stage: String,
    /// From there into the table: what is new, and what corrects a row and is not older.
    pub(super) merge: String,
    /// A few rows, and the lane that they move.
    pub(super) small: String,
}

impl Statements {
    /// The statements of `table` in `schema`.
    pub(super) fn new(schema: &str, table: &Table) -> Self {
        let target = format!("{}.{}", quoted(schema), table.name);
        let stage = quoted(&format!("qicore_stage_{schema}_{}", table.name));
        let columns = table.column_names().join(", ");
        let (insert, taken) = (
            format!("INSERT INTO {target} AS old ({columns})"),
            table.taken().join(", "),
        );
        let on_conflict = on_conflict(table);
        Self {
            copy: format!("COPY {target} ({columns}) FROM STDIN (FORMAT binary)"),
            stage: format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} \
                 (place bigint GENERATED ALWAYS AS IDENTITY, {}) ON COMMIT DELETE ROWS",
                table.staged().join(", ")
            ),
            each: each::statement(&insert, &taken, &stage, &on_conflict),
            copy_stage: format!("COPY {stage} ({columns}) FROM STDIN (FORMAT binary)"),
            merge: format!("{insert} SELECT {taken} FROM {stage}{on_conflict}"),
            small: small::statement(schema, table, &target, &columns, &on_conflict),
        }
    }
}

/// Values that tell how a row came here, not what it says: a row that differs in these alone is unchanged.
const CARRIER: &[&str] = &["source", "origin", "received", "received_ns"];

/// What is to be done where a row is there already.
fn on_conflict(table: &Table) -> String {
    if !table.is_keyed() {
        return String::new();
    }
    let names = table.column_names();
    let others = || names.iter().filter(|name| !table.has_key(name));
    let list = |prefix: &str| {
        let said = others().filter(|name| !CARRIER.contains(&name.as_str()));
        said.map(|name| format!("{prefix}.{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let set: Vec<_> = others().map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        " ON CONFLICT ({key}) DO UPDATE SET {set}, updated_at = now() \
         WHERE ({said}) IS DISTINCT FROM ({new}) AND {not_older}",
        key = table.key.join(", "),
        set = set.join(", "),
        said = list("old"),
        new = list("excluded"),
        not_older = not_older(table),
    )
}

/// When a row may replace another one of its key: [`supersedes`](super::arrange::supersedes) in SQL.
fn not_older(table: &Table) -> &'static str {
    match table.event_type {
        EventType::Candle => {
            "(excluded.closed > old.closed OR excluded.closed = old.closed AND coalesce(\
             (excluded.received, excluded.received_ns, excluded.revision) >= (old.received, old.received_ns, old.revision), \
             excluded.revision >= old.revision))"
        }
        EventType::Instrument => "(excluded.timestamp, excluded.timestamp_ns) >= (old.timestamp, old.timestamp_ns)",
        _ => "coalesce((excluded.received, excluded.received_ns) >= (old.received, old.received_ns), true)",
    }
}
