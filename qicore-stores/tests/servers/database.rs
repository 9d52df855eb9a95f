//! A test's own place on a server.

use qicore_data::{Event, EventType};
use qicore_stores::timescale::{Connection, Selection, Store, Table, Tables};
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{Connection as _, Decode, Executor, Row, Type};

/// A schema of a database: all that a test needs to know of a server.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) schema: String,
}

impl Database {
    /// The schema `public` of a new database, on the server of another one.
    pub(crate) async fn create(server: &str, name: &str) -> Self {
        Self::in_schema(server, "public")
            .sql(&format!("CREATE DATABASE {name}"))
            .await;
        let (front, query) = server.split_once('?').unwrap_or((server, ""));
        let (front, _) = front.rsplit_once('/').expect("a URL with a database");
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        };
        Self::in_schema(&format!("{front}/{name}{query}"), "public")
    }

    /// A schema, which need not be there yet.
    pub(crate) fn in_schema(url: &str, schema: &str) -> Self {
        Self {
            url: url.to_owned(),
            schema: schema.to_owned(),
        }
    }

    /// The same place by way of another port: a proxy's.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        let (front, rest) = self.url.rsplit_once(':').expect("a URL with a port");
        let (_, database) = rest.split_once('/').expect("a URL with a database");
        Self::in_schema(&format!("{front}:{port}/{database}"), &self.schema)
    }

    /// The same place as another role.
    pub(crate) fn as_role(&self, user: &str, password: &str) -> Self {
        let (_, host) = self.url.split_once('@').expect("a URL with a user");
        Self::in_schema(&format!("postgres://{user}:{password}@{host}"), &self.schema)
    }

    /// The server's port.
    pub(crate) fn port(&self) -> u16 {
        let (_, rest) = self.url.rsplit_once(':').expect("a URL with a port");
        let (port, _) = rest.split_once('/').expect("a URL with a database");
        port.parse().unwrap()
    }

    /// Patient: on the one backend of TimescaleDB other tests come first.
    pub(crate) fn connection(&self) -> Connection {
        let mut connection = Connection::url(self.url.as_str());
        connection.connect_timeout = std::time::Duration::from_secs(120);
        connection
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::in_schema(self.schema.as_str())
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(&self.connection(), &self.tables()).unwrap()
    }

    /// A table or view of the schema, as SQL names it.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("\"{}\".{name}", self.schema)
    }

    /// A connection that knows nothing of QiCore, with the schema in its search path.
    pub(crate) async fn connect(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute(self.path("SET").as_str()).await.unwrap();
        connection
    }

    fn path(&self, set: &str) -> String {
        format!("{set} search_path TO \"{}\", public", self.schema)
    }

    /// Runs statements, with the schema in the search path.
    pub(crate) async fn sql(&self, sql: &str) {
        self.try_sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs statements that may fail.
    pub(crate) async fn try_sql(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url).await?;
        // The connections of TimescaleDB share their settings, so that the path must come with the statements; but some
        // must come alone.
        let alone = ["CALL", "CREATE DATABASE"].iter().any(|word| sql.starts_with(word));
        let sql = if alone {
            sql.to_owned()
        } else {
            format!("{}; {sql}", self.path("SET"))
        };
        let done = connection.execute(sql.as_str()).await;
        // The one backend of TimescaleDB is not to be left to the next test in the middle of something.
        connection.close().await?;
        done.map(drop)
    }

    /// The first column of all rows.
    pub(crate) async fn values<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let begin = format!("BEGIN; {}", self.path("SET LOCAL"));
        connection.execute(begin.as_str()).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&mut connection).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.execute("COMMIT").await.unwrap();
        connection.close().await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The only value.
    pub(crate) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let values = self.values(sql).await;
        let [value] = <[T; 1]>::try_from(values).unwrap_or_else(|_| panic!("{sql}: not one row"));
        value
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {}", self.table(table))).await
    }

    /// All events of a kind, in the order of their times.
    pub(crate) async fn events(&self, event_type: EventType) -> Vec<Event> {
        let store = self.store();
        let reading = store
            .read(&Selection::of(event_type), None, qicore_data::BatchLimit::default())
            .unwrap();
        let events = reading.all().await.unwrap();
        store.close().await;
        events
    }

    /// All events, kind by kind; none where the schema is not there yet.
    pub(crate) async fn all(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let there = format!("SELECT to_regclass('{}') IS NOT NULL", self.table("qicore_schema"));
        if !self.value::<bool>(&there).await {
            return events;
        }
        for table in Table::all() {
            events.extend(self.events(table.event_type).await);
        }
        events
    }
}
