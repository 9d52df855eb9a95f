//! A test's own database on a ClickHouse server.

use clickhouse::{Client, RowOwned, RowRead};
use qicore_data::{Event, EventType};
use qicore_stores::clickhouse::{Connection, Selection, Store, Table, Tables};

/// All that a test needs to know of a server.
#[derive(Debug, Clone)]
pub(crate) struct Clickhouse {
    pub(crate) url: String,
    pub(crate) database: String,
}

impl Clickhouse {
    pub(crate) fn new(url: &str, database: &str) -> Self {
        Self {
            url: url.to_owned(),
            database: database.to_owned(),
        }
    }

    /// The same place by way of another port: a proxy's.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        let (front, _) = self.url.rsplit_once(':').expect("a URL with a port");
        Self::new(&format!("{front}:{port}"), &self.database)
    }

    /// The server's port.
    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("a URL with a port");
        port.parse().unwrap()
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::url(self.url.as_str())
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::in_database(self.database.as_str())
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(&self.connection(), &self.tables()).unwrap()
    }

    /// A client that knows nothing of QiCore.
    pub(crate) fn client(&self) -> Client {
        Client::default().with_url(&self.url)
    }

    /// Runs a statement; `{db}` in it is the database.
    pub(crate) async fn sql(&self, sql: &str) {
        self.try_sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs a statement that may fail.
    pub(crate) async fn try_sql(&self, sql: &str) -> Result<(), clickhouse::error::Error> {
        let sql = sql.replace("{db}", &self.database);
        self.client().query_raw(&sql).execute().await
    }

    /// All rows: values, or tuples of them.
    pub(crate) async fn values<T: RowOwned + RowRead>(&self, sql: &str) -> Vec<T> {
        let sql = sql.replace("{db}", &self.database);
        let rows = self.client().query_raw(&sql).fetch_all().await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The only row.
    pub(crate) async fn value<T: RowOwned + RowRead>(&self, sql: &str) -> T {
        let mut values = self.values(sql).await;
        assert_eq!(values.len(), 1, "{sql}");
        values.remove(0)
    }

    /// Rows as they lie there, with those that are yet to be replaced.
    pub(crate) async fn physical(&self, table: &str) -> u64 {
        self.value(&format!("SELECT count() FROM {{db}}.{table}")).await
    }

    /// All events of a kind, in the order of their times.
    pub(crate) async fn events(&self, event_type: EventType) -> Vec<Event> {
        let selection = Selection::of(event_type);
        let reading = self.store().read(&selection, None, qicore_data::BatchLimit::default());
        reading.unwrap().all().await.unwrap()
    }

    /// All events, kind by kind; none where the schema is not there yet.
    pub(crate) async fn all(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let there = "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'alerts'";
        if self.value::<u64>(there).await == 0 {
            return events;
        }
        for table in Table::all() {
            events.extend(self.events(table.event_type).await);
        }
        events
    }
}
