//! Stored rows in the order of their times, as a stream that can be taken up again anywhere.

use std::sync::Arc;

use futures_util::TryStreamExt;
use qicore_data::{BatchLimit, Error, ErrorKind, Event, EventType, Exchange, Result, Symbol, Timeframe, Timestamp};
use sqlx::Executor;
use sqlx::postgres::PgRow;
use tokio::sync::mpsc;

use super::Store;
use super::decode;
use super::encode::parts;
use super::error::mapped;
use super::tables::{SEQUENCE, Table};

/// Which rows are meant.
///
/// ```
/// use qicore_data::{EventType, Timeframe};
/// use qicore_stores::timescale::Selection;
/// let bars = Selection::of(EventType::Candle)
///     .symbols(["BTC/USDT".parse()?])
///     .timeframe(Timeframe::M1)
///     .from("2026-01-01T00:00:00Z".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The kind of event.
    pub event_type: EventType,
    /// Only these symbols; all if there is none.
    pub symbols: Vec<Symbol>,
    /// Only these venues; all if there is none.
    pub exchanges: Vec<Exchange>,
    /// Only candles of this timeframe.
    pub timeframe: Option<Timeframe>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Up to this time, without it.
    pub to: Option<Timestamp>,
}

impl Selection {
    /// All rows of a kind.
    pub fn of(event_type: EventType) -> Self {
        Self {
            event_type,
            symbols: Vec::new(),
            exchanges: Vec::new(),
            timeframe: None,
            from: None,
            to: None,
        }
    }

    /// Only these symbols.
    #[must_use]
    pub fn symbols(mut self, symbols: impl IntoIterator<Item = Symbol>) -> Self {
        self.symbols = symbols.into_iter().collect();
        self
    }

    /// Only these venues.
    #[must_use]
    pub fn exchanges(mut self, exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        self.exchanges = exchanges.into_iter().collect();
        self
    }

    /// Only candles of this timeframe.
    #[must_use]
    pub fn timeframe(mut self, timeframe: Timeframe) -> Self {
        self.timeframe = Some(timeframe);
        self
    }

    /// From this time on.
    #[must_use]
    pub fn from(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// Up to this time, without it.
    #[must_use]
    pub fn to(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }
}

/// A place among the rows of a table, behind one of them: reading can begin there again in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Arc<str>);

impl Cursor {
    /// Takes up the text of another one.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The values of the columns that the table is ordered by, as text.
    fn values(&self, table: &Table) -> Result<Vec<String>> {
        let values: Vec<String> = serde_json::from_str(&self.0).unwrap_or_default();
        if values.len() == table.ordered_by().count() {
            return Ok(values);
        }
        let message = "the stored place is not one in this table: was the kind of rows changed?";
        Err(Error::new(ErrorKind::Checkpoint, "timescale.read", message).with("table", table.name))
    }
}

/// Some rows, and the place behind them.
#[derive(Debug)]
pub struct Page {
    /// The rows, in the order of their times; of one time, in the order of arrival or of their keys.
    pub events: Vec<Event>,
    /// Behind the last of them.
    pub cursor: Cursor,
}

/// Rows on their way from the database. What has not been asked for waits in the server, but for two pages.
#[derive(Debug)]
pub struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reading {
    /// The next rows; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the database fails with, and [`Decode`](ErrorKind::Decode) for a row that is no event: another program has
    /// written it.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }

    /// All rows that are left, for ranges that are known to be small.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(page) = self.next().await? {
            events.extend(page.events);
        }
        Ok(events)
    }
}

impl Store {
    /// Reads rows in the order of their times, in pages of at most so many rows and bytes, from the beginning or from
    /// behind a row. One statement reads them all, from one state of the database.
    ///
    /// The server sorts what is selected before it gives the first row (TimescaleDB a chunk at a time), on its disk where
    /// it is much: select by time to read a long history in pieces.
    ///
    /// Begins at once, on a task of its own, and so must be called within a runtime.
    ///
    /// # Errors
    /// Where the cursor is not one of this table. What the database fails with is told by [`Reading::next`].
    pub fn read(&self, selection: &Selection, after: Option<&Cursor>, page: BatchLimit) -> Result<Reading> {
        let Some(table) = Table::of(selection.event_type) else {
            let message = format!("there is no table of {}s", selection.event_type);
            return Err(Error::new(ErrorKind::Unsupported, "timescale.read", message));
        };
        if selection.timeframe.is_some() && selection.event_type != EventType::Candle {
            return Err(Error::config(
                "timescale.read",
                "only candles have a timeframe to select by",
            ));
        }
        let query = Query::new(&self.qualified(table.name), table, selection, after)?;
        let (give, pages) = mpsc::channel(2);
        let store = self.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = stream(&store, table, query, page, &give).await {
                // Who no longer listens does not want to know.
                let _ = give.send(Err(error)).await;
            }
        });
        Ok(Reading { pages, task })
    }
}

async fn stream(
    store: &Store,
    table: &'static Table,
    query: Query,
    page: BatchLimit,
    give: &mpsc::Sender<Result<Page>>,
) -> Result<()> {
    let mut lease = store.lease("timescale.read").await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
    let begun = lease.execute(begin).await;
    begun.map_err(|error| mapped("timescale.read", error))?;
    let fail = |error| mapped("timescale.read", error);
    let mut bound = sqlx::query(&query.sql);
    for value in query.values {
        bound = match value {
            Bound::Text(text) => bound.bind(text),
            Bound::Texts(texts) => bound.bind(texts),
        };
    }
    let mut rows = bound.fetch(&mut *lease);
    let (mut events, mut bytes, mut last) = (Vec::new(), 0, None);
    loop {
        let row = rows.try_next().await.map_err(fail)?;
        let ended = row.is_none();
        if let Some(row) = row {
            let event = decode::event(table, &row)?;
            bytes += event.weight();
            events.push(event);
            last = Some(row);
        }
        if let Some(last) = &last
            && (events.len() >= page.items || bytes >= page.bytes || ended && !events.is_empty())
        {
            let cursor = Cursor::behind(table, last)?;
            let events = std::mem::take(&mut events);
            bytes = 0;
            if give.send(Ok(Page { events, cursor })).await.is_err() {
                return Ok(());
            }
        }
        if ended {
            break;
        }
    }
    drop(rows);
    lease.execute("COMMIT").await.map_err(fail)?;
    lease.give_back();
    Ok(())
}

enum Bound {
    Text(String),
    Texts(Vec<String>),
}

/// A statement that is being put together.
struct Query {
    sql: String,
    values: Vec<Bound>,
    conditions: usize,
}

impl Query {
    fn new(target: &str, table: &Table, selection: &Selection, after: Option<&Cursor>) -> Result<Self> {
        let mut columns = table.column_names();
        if table.ordered_by().any(|name| name == SEQUENCE) {
            columns.push(SEQUENCE.into());
        }
        let mut query = Self {
            sql: format!("SELECT {} FROM {target}", columns.join(", ")),
            values: Vec::new(),
            conditions: 0,
        };
        let names = |names: Vec<&str>| Bound::Texts(names.into_iter().map(str::to_owned).collect());
        if !selection.symbols.is_empty() {
            let symbols = selection.symbols.iter().map(|symbol| symbol.as_str()).collect();
            query.condition("symbol = ANY (?)", [names(symbols)]);
        }
        if !selection.exchanges.is_empty() {
            let exchanges = selection.exchanges.iter().map(|exchange| exchange.as_str()).collect();
            query.condition("exchange = ANY (?)", [names(exchanges)]);
        }
        if let Some(timeframe) = selection.timeframe {
            query.condition(
                "timeframe = CAST(? AS interval)",
                [Bound::Text(interval_text(timeframe))],
            );
        }
        // The columns of a time with nanoseconds are compared as one.
        let nanos = table.column_names().iter().any(|name| name == "timestamp_ns");
        for (at, sign) in [(selection.from, ">="), (selection.to, "<")] {
            let Some(at) = at else { continue };
            let (micros, beyond) = split(at);
            if nanos {
                query.condition(
                    &format!("(timestamp, timestamp_ns) {sign} (CAST(? AS timestamptz), CAST(? AS smallint))"),
                    [Bound::Text(micros.clone()), Bound::Text(beyond.to_string())],
                );
            }
            // Alone it says less, but by it TimescaleDB passes over chunks.
            let sign = if sign == "<" && nanos { "<=" } else { sign };
            query.condition(
                &format!("timestamp {sign} CAST(? AS timestamptz)"),
                [Bound::Text(micros)],
            );
        }
        let order: Vec<_> = table.ordered_by().collect();
        if let Some(after) = after {
            let casts: Vec<_> = order
                .iter()
                .map(|name| format!("CAST(? AS {})", Table::type_of(name)))
                .collect();
            let condition = format!("({}) > ({})", order.join(", "), casts.join(", "));
            let values = after.values(table)?;
            if let Some(at) = order.iter().zip(&values).find(|(name, _)| **name == "timestamp") {
                query.condition("timestamp >= CAST(? AS timestamptz)", [Bound::Text(at.1.clone())]);
            }
            query.condition(&condition, values.into_iter().map(Bound::Text));
        }
        query.sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        Ok(query)
    }

    /// Adds a condition with a `?` for each value.
    fn condition(&mut self, condition: &str, values: impl IntoIterator<Item = Bound>) {
        self.sql
            .push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        let mut pieces = condition.split('?');
        self.sql.push_str(pieces.next().unwrap_or_default());
        for (value, piece) in values.into_iter().zip(pieces) {
            // The driver states each value's type: text, which the casts make something of.
            self.values.push(value);
            self.sql.push_str(&format!("${}{piece}", self.values.len()));
        }
    }
}

/// A time as text in microseconds, and the nanoseconds beyond.
pub(super) fn split(at: Timestamp) -> (String, i64) {
    let beyond = at.nanos().rem_euclid(1000);
    (micros_text(at.nanos().div_euclid(1000)), beyond)
}

/// Microseconds since 1970 as text.
pub(super) fn micros_text(micros: i64) -> String {
    // The microsecond of the earliest time begins before it.
    let earliest = || "1677-09-21T00:12:43.145224Z".to_owned();
    micros
        .checked_mul(1000)
        .map_or_else(earliest, |nanos| Timestamp::from_nanos(nanos).to_string())
}

/// A timeframe in PostgreSQL's notation.
pub(super) fn interval_text(timeframe: Timeframe) -> String {
    let (micros, days, months) = parts(timeframe);
    format!("{months} months {days} days {} seconds", micros / 1_000_000)
}

impl Cursor {
    fn behind(table: &Table, row: &PgRow) -> Result<Self> {
        let names = table.column_names();
        let value = |name: &str| match name {
            SEQUENCE => decode::text_of(row, names.len(), name),
            name => decode::text_of(
                row,
                names.iter().position(|known| known == name).unwrap_or_default(),
                name,
            ),
        };
        let values: Vec<String> = table.ordered_by().map(value).collect::<Result<_>>()?;
        let text = serde_json::to_string(&values);
        text.map(Self::new)
            .map_err(|error| Error::decode("timescale.read", error.to_string()))
    }
}
