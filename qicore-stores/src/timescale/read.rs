//! Stored rows in the order of their times, as a stream that can be taken up again anywhere.

use std::sync::Arc;

use futures_util::TryStreamExt;
use qicore_data::{BatchLimit, Error, ErrorKind, Event, EventType, Result};
use sqlx::Executor;
use sqlx::postgres::PgRow;
use tokio::sync::mpsc;

use super::Store;
use super::decode;
use super::error::mapped;
use super::select::{Bound, Query, Selection};
use super::tables::{SEQUENCE, Table};

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
    pub(super) fn values(&self, table: &Table) -> Result<Vec<String>> {
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
    /// A row that is no event; it comes alone.
    pub foreign: Option<Foreign>,
    /// Behind the last row.
    pub cursor: Cursor,
}

/// A row that another program has stored, and that is no event.
#[derive(Debug)]
#[non_exhaustive]
pub struct Foreign {
    /// Which row it is: its table and what it is ordered by, as a JSON object.
    pub row: String,
    /// What is wrong with it.
    pub reason: Error,
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
    /// What the database fails with.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }

    /// All rows that are left, for ranges that are known to be small.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`Decode`](ErrorKind::Decode) for a row that is [no event](Foreign).
    pub async fn all(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(page) = self.next().await? {
            events.extend(page.events);
            if let Some(Foreign { row, reason }) = page.foreign {
                return Err(reason.with("row", row));
            }
        }
        Ok(events)
    }
}

impl Store {
    /// Reads rows in the order of their times, in pages of at most so many rows and bytes, from the beginning or from
    /// behind a row. One statement reads them all, from one state of the database.
    ///
    /// One symbol's candles of one venue and timeframe come straight from an index. Of anything else the server sorts what
    /// is selected before it gives the first row (TimescaleDB a chunk at a time), on its disk where it is much: select by
    /// time to read a long history in pieces. While it is read the database keeps every row version of its state: a reader
    /// that is slow for hours keeps the tables from being vacuumed.
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
    let mut pages = Pages::new(table, page, give);
    while let Some(row) = rows.try_next().await.map_err(fail)? {
        if !pages.row(row).await? {
            return Ok(());
        }
    }
    if !pages.send(None).await? {
        return Ok(());
    }
    drop(rows);
    lease.execute("COMMIT").await.map_err(fail)?;
    lease.give_back();
    Ok(())
}

/// A page that is being put together.
struct Pages<'a> {
    table: &'static Table,
    limit: BatchLimit,
    give: &'a mpsc::Sender<Result<Page>>,
    events: Vec<Event>,
    bytes: usize,
    last: Option<PgRow>,
}

impl<'a> Pages<'a> {
    fn new(table: &'static Table, limit: BatchLimit, give: &'a mpsc::Sender<Result<Page>>) -> Self {
        Self {
            table,
            limit,
            give,
            events: Vec::new(),
            bytes: 0,
            last: None,
        }
    }

    /// Takes a row. False if nobody listens any more.
    async fn row(&mut self, row: PgRow) -> Result<bool> {
        match decode::event(self.table, &row) {
            Ok(event) => {
                self.last = Some(row);
                self.bytes += event.weight();
                self.events.push(event);
                let full = self.events.len() >= self.limit.items || self.bytes >= self.limit.bytes;
                Ok(!full || self.send(None).await?)
            }
            Err(reason) => {
                let before = self.send(None).await?;
                self.last = Some(row);
                Ok(before && self.send(Some(reason)).await?)
            }
        }
    }

    /// Gives what there is; with a reason the last row is no event.
    async fn send(&mut self, foreign: Option<Error>) -> Result<bool> {
        let Some(last) = self.last.take() else { return Ok(true) };
        self.bytes = 0;
        let page = Page {
            events: std::mem::take(&mut self.events),
            cursor: Cursor::behind(self.table, &last)?,
            foreign: foreign.map(|reason| named(self.table, &last, reason)).transpose()?,
        };
        Ok(self.give.send(Ok(page)).await.is_ok())
    }
}

/// A row by what tells it from others.
fn named(table: &Table, row: &PgRow, reason: Error) -> Result<Foreign> {
    let order: Vec<_> = table.ordered_by().collect();
    let others = table.key.iter().filter(|name| !order.contains(name));
    let names = order.iter().chain(others).copied();
    let values = names.map(|name| Ok((name, Cursor::value(table, row, name)?)));
    let named: serde_json::Map<String, serde_json::Value> = [Ok(("table", table.name.to_owned()))]
        .into_iter()
        .chain(values)
        .map(|named: Result<_>| named.map(|(name, value)| (name.to_owned(), value.into())))
        .collect::<Result<_>>()?;
    let row = serde_json::Value::Object(named).to_string();
    Ok(Foreign { row, reason })
}

impl Cursor {
    fn behind(table: &Table, row: &PgRow) -> Result<Self> {
        let values: Vec<String> = table
            .ordered_by()
            .map(|name| Self::value(table, row, name))
            .collect::<Result<_>>()?;
        let text = serde_json::to_string(&values);
        text.map(Self::new)
            .map_err(|error| Error::decode("timescale.read", error.to_string()))
    }

    /// A column's value as text.
    fn value(table: &Table, row: &PgRow, name: &str) -> Result<String> {
        let names = table.column_names();
        let at = match name {
            SEQUENCE => Some(names.len()),
            name => names.iter().position(|known| known == name),
        };
        decode::text_of(row, at.unwrap_or_default(), name)
    }
}
