//! Stored rows in the order of their times, as a stream that can be taken up again anywhere.

use futures_util::TryStreamExt;
use qicore_data::{BatchLimit, Error, ErrorKind, Event, EventType, Result};
use sqlx::Executor;
use sqlx::postgres::PgRow;

use super::Store;
use super::decode;
use super::error::mapped;
use super::select::{Bound, Query};
use super::tables::{SEQUENCE, Table};
use crate::reading::Pages as Give;
use crate::{Cursor, Foreign, Page, Reading, Selection};

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
        let store = self.clone();
        Ok(Reading::begin(|give| async move {
            stream(&store, table, query, page, &give).await
        }))
    }
}

async fn stream(store: &Store, table: &'static Table, query: Query, page: BatchLimit, give: &Give) -> Result<()> {
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
    give: &'a Give,
    events: Vec<Event>,
    bytes: usize,
    last: Option<PgRow>,
}

impl<'a> Pages<'a> {
    fn new(table: &'static Table, limit: BatchLimit, give: &'a Give) -> Self {
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
            cursor: behind(self.table, &last)?,
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
    let values = names.map(|name| Ok((name, value(table, row, name)?)));
    let named: serde_json::Map<String, serde_json::Value> = [Ok(("table", table.name.to_owned()))]
        .into_iter()
        .chain(values)
        .map(|named: Result<_>| named.map(|(name, value)| (name.to_owned(), value.into())))
        .collect::<Result<_>>()?;
    let row = serde_json::Value::Object(named).to_string();
    Ok(Foreign { row, reason })
}

/// The place behind a row.
fn behind(table: &Table, row: &PgRow) -> Result<Cursor> {
    let values: Vec<String> = table
        .ordered_by()
        .map(|name| value(table, row, name))
        .collect::<Result<_>>()?;
    let text = serde_json::to_string(&values);
    text.map(Cursor::new)
        .map_err(|error| Error::decode("timescale.read", error.to_string()))
}

/// The values of the columns that the table is ordered by, as text.
pub(super) fn values(cursor: &Cursor, table: &Table) -> Result<Vec<String>> {
    let values: Vec<String> = serde_json::from_str(cursor.as_str()).unwrap_or_default();
    if values.len() == table.ordered_by().count() {
        return Ok(values);
    }
    let message = "the stored place is not one in this table: was the kind of rows changed?";
    Err(Error::new(ErrorKind::Checkpoint, "timescale.read", message).with("table", table.name))
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
