//! Stored rows in the order of their times, as a stream that can be taken up again anywhere.

use qicore_data::{BatchLimit, Error, ErrorKind, Event, EventType, Result, Timestamp};

use super::Store;
use super::connect::Server;
use super::decode::{self, Row};
use super::error::mapped;
use super::tables::{Stored, Table};
use crate::reading::Pages as Give;
use crate::{Cursor, Foreign, Page, Reading, Selection};

impl Store {
    /// Reads rows in the order of their times, each once, in pages of at most so many rows and bytes, from the beginning or
    /// from behind a row. One statement reads them all.
    ///
    /// The server sorts what is selected before it gives the first row, on its disk where it is much: select by time to
    /// read a long history in pieces. What has not been asked for waits in the server, which ends a statement whose rows
    /// nobody takes for half a minute: then read on from the last [`Cursor`].
    ///
    /// Begins at once, on a task of its own, and so must be called within a runtime.
    ///
    /// # Errors
    /// Where the cursor is not one of this table. What the server fails with is told by [`Reading::next`].
    pub fn read(&self, selection: &Selection, after: Option<&Cursor>, page: BatchLimit) -> Result<Reading> {
        let Some(table) = Table::of(selection.event_type) else {
            let message = format!("there is no table of {}s", selection.event_type);
            return Err(Error::new(ErrorKind::Unsupported, "clickhouse.read", message));
        };
        if selection.timeframe.is_some() && selection.event_type != EventType::Candle {
            return Err(Error::config(
                "clickhouse.read",
                "only candles have a timeframe to select by",
            ));
        }
        let query = Query::new(self, table, selection, after)?;
        let store = self.clone();
        Ok(Reading::begin(|give| async move {
            stream(&store, table, &query, page, &give).await
        }))
    }

    /// All rows of a statement that gives a table's columns.
    pub(super) async fn events(&self, table: &'static Table, query: &Query) -> Result<Vec<Event>> {
        self.servers.whole_answers().await?;
        let rows = self.servers.each(|server| async {
            let mut blocks = query.bound(server).fetch_native()?;
            let mut rows = Vec::new();
            while let Some(block) = blocks.next().await? {
                rows.push(decode::rows(table, &block));
            }
            Ok(rows)
        });
        let rows = rows
            .await
            .map_err(|(error, server)| mapped("clickhouse.read", error).with("server", server.name()))?;
        let mut events = Vec::new();
        for row in rows {
            for (event, _) in row? {
                events.push(event?);
            }
        }
        Ok(events)
    }
}

/// A statement and its parameters, which stand in it as `{p1:String}`.
pub(super) struct Query {
    pub(super) sql: String,
    parameters: Vec<String>,
    conditions: usize,
}

impl Query {
    /// Selects a table's events, each once, and more behind them, without order.
    pub(super) fn of(store: &Store, table: &Table, more: Vec<String>) -> Self {
        let own = table.columns.iter().map(|column| match column.stored {
            // The driver knows no names within a tuple.
            Stored::Levels => format!("arrayMap(level -> (level.1, level.2), {})", column.name),
            Stored::Word(_) => format!("toString({})", column.name),
            _ => column.name.to_owned(),
        });
        let columns: Vec<String> = own.chain(more).collect();
        Self {
            sql: format!(
                "SELECT {} FROM {} FINAL",
                columns.join(", "),
                store.qualified(table.name)
            ),
            parameters: Vec::new(),
            conditions: 0,
        }
    }

    fn new(store: &Store, table: &'static Table, selection: &Selection, after: Option<&Cursor>) -> Result<Self> {
        let place = table
            .order
            .iter()
            .map(|name| format!("{} AS place_{name}", as_text(name)));
        let mut query = Self::of(store, table, place.collect());
        query.one_of("symbol", selection.symbols.iter().map(|symbol| symbol.as_str()));
        query.one_of("exchange", selection.exchanges.iter().map(|exchange| exchange.as_str()));
        if let Some(timeframe) = selection.timeframe {
            query.condition("timeframe = ?", [timeframe.as_str().to_owned()]);
        }
        query.between(selection.from, selection.to);
        if let Some(after) = after {
            let values = values(after, table)?;
            let order = table.order.join(", ");
            let parsed: Vec<_> = table.order.iter().map(|name| from_text(name)).collect();
            // Alone it says less, but by it parts are passed over.
            query.condition(&format!("timestamp >= {}", parsed[0]), values.first().cloned());
            query.condition(&format!("({order}) > ({})", parsed.join(", ")), values);
        }
        query.sql.push_str(&format!(" ORDER BY {}", table.order.join(", ")));
        Ok(query)
    }

    pub(super) fn between(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) {
        for (at, sign) in [(from, ">="), (to, "<")] {
            if let Some(at) = at {
                let condition = format!("timestamp {sign} {}", from_text("timestamp"));
                self.condition(&condition, [at.nanos().to_string()]);
            }
        }
    }

    /// A column has one of these values, or any if there is none.
    fn one_of<'a>(&mut self, column: &str, names: impl Iterator<Item = &'a str>) {
        let names: Vec<String> = names.map(str::to_owned).collect();
        if !names.is_empty() {
            let holes = vec!["?"; names.len()].join(", ");
            self.condition(&format!("{column} IN ({holes})"), names);
        }
    }

    /// Adds a condition with a `?` for each value.
    pub(super) fn condition(&mut self, condition: &str, values: impl IntoIterator<Item = String>) {
        self.sql
            .push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        let mut pieces = condition.split('?');
        self.sql.push_str(pieces.next().unwrap_or_default());
        for (value, piece) in values.into_iter().zip(pieces) {
            self.parameters.push(value);
            self.sql
                .push_str(&format!("{{p{}:String}}{piece}", self.parameters.len()));
        }
    }

    pub(super) fn bound(&self, server: &Server) -> clickhouse::query::Query {
        let query = server.client.query_raw(&self.sql);
        (1..)
            .zip(&self.parameters)
            .fold(query, |query, (at, value)| query.param(&format!("p{at}"), value))
    }
}

/// A column that rows are ordered by as text, and back. Times as nanoseconds.
fn as_text(name: &str) -> String {
    match name {
        "timestamp" | "from_time" | "to_time" => format!("toString(toUnixTimestamp64Nano({name}))"),
        name => format!("toString({name})"),
    }
}

fn from_text(name: &str) -> &'static str {
    match name {
        "timestamp" | "from_time" | "to_time" => "fromUnixTimestamp64Nano(toInt64(?), 'UTC')",
        "seq" | "lane" | "twin" => "toUInt64(?)",
        _ => "?",
    }
}

/// The values of a cursor.
fn values(cursor: &Cursor, table: &Table) -> Result<Vec<String>> {
    let values: Vec<String> = serde_json::from_str(cursor.as_str()).unwrap_or_default();
    if values.len() == table.order.len() {
        return Ok(values);
    }
    let message = "the stored place is not one in this table: was the kind of rows changed?";
    Err(Error::new(ErrorKind::Checkpoint, "clickhouse.read", message).with("table", table.name))
}

async fn stream(store: &Store, table: &'static Table, query: &Query, page: BatchLimit, give: &Give) -> Result<()> {
    store.servers.whole_answers().await?;
    // The first block, of any server that answers, however long it sorts.
    let begun = store.servers.each_within(None, |server| async {
        let mut blocks = query.bound(server).fetch_native()?;
        let first = blocks.next().await?;
        Ok((blocks, first))
    });
    let begun = begun.await;
    let (mut blocks, mut next) =
        begun.map_err(|(error, server)| mapped("clickhouse.read", error).with("server", server.name()))?;
    let mut pages = Pages {
        table,
        limit: page,
        give,
        events: Vec::new(),
        bytes: 0,
        last: Vec::new(),
    };
    while let Some(block) = next {
        for row in decode::rows(table, &block)? {
            if !pages.row(row).await? {
                return Ok(());
            }
        }
        next = blocks.next().await.map_err(|error| mapped("clickhouse.read", error))?;
    }
    pages.send(None).await.map(drop)
}

/// A page that is being put together.
struct Pages<'a> {
    table: &'static Table,
    limit: BatchLimit,
    give: &'a Give,
    events: Vec<Event>,
    bytes: usize,
    last: Vec<String>,
}

impl Pages<'_> {
    /// Takes a row. False if nobody listens any more.
    async fn row(&mut self, (event, place): Row) -> Result<bool> {
        match event {
            Ok(event) => {
                self.last = place;
                self.bytes += event.weight();
                self.events.push(event);
                let full = self.events.len() >= self.limit.items || self.bytes >= self.limit.bytes;
                Ok(!full || self.send(None).await?)
            }
            Err(reason) => {
                let before = self.send(None).await?;
                self.last = place;
                Ok(before && self.send(Some(reason)).await?)
            }
        }
    }

    /// Gives what there is; with a reason the last row is no event.
    async fn send(&mut self, reason: Option<Error>) -> Result<bool> {
        if self.events.is_empty() && reason.is_none() {
            return Ok(true);
        }
        self.bytes = 0;
        let text = |value: &_| {
            serde_json::to_string(value).map_err(|error| Error::decode("clickhouse.read", error.to_string()))
        };
        let foreign = reason.map(|reason| {
            let named = self
                .table
                .order
                .iter()
                .zip(&self.last)
                .map(|(name, value)| ((*name).to_owned(), value.clone().into()));
            let table = ("table".to_owned(), self.table.name.into());
            let row: serde_json::Map<String, serde_json::Value> = std::iter::once(table).chain(named).collect();
            Foreign {
                row: serde_json::Value::Object(row).to_string(),
                reason,
            }
        });
        let page = Page {
            events: std::mem::take(&mut self.events),
            cursor: Cursor::new(text(&self.last)?),
            foreign,
        };
        Ok(self.give.send(Ok(page)).await.is_ok())
    }
}
