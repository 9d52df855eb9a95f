//! ClickHouse.
//!
//! A [`Store`] is one database. It [migrates](Store::migrate) itself, takes [blocks of rows](write::encode) and the
//! positions of the lanes that they came from, and answers what applications ask: the [latest
//! candle](Store::latest_candle), a [range](Store::read), [missing bars](Store::missing_candles), its own
//! [health](Store::health).
//!
//! The tables are described where they are made: `qicore schema clickhouse` prints them. Every row has a key that is the
//! same whenever it is written again, and all questions here see it once.

mod config;
mod connect;
mod decode;
mod encode;
mod error;
mod health;
mod insert;
mod lanes;
mod queries;
mod read;
mod schema;
mod tables;

use qicore_data::Result;

pub use config::{Compression, Connection};
pub use health::{Health, Replica, TableHealth};
pub use schema::{Decimals, Tables, VERSION, roles, script};
pub use tables::Table;

pub use crate::{Cursor, Foreign, Missing, Page, Period, Reading, Selection};

pub mod write {
    //! What a sink is made of. An application that only asks needs none of it.
    //!
    //! A sink asks what is [held](super::Store::held) for a lane, numbers its rows from there, [encodes](encode()) them
    //! table by table, [inserts](super::Store::insert) the blocks, and [notes](super::Store::note) how far it has come.

    pub use super::encode::{Block, Numbered, encode};
    pub use super::error::Failure;
    pub use super::insert::Token;
    pub use super::lanes::{Held, lane_number};
}

use connect::Servers;

/// One database. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    servers: Servers,
    tables: std::sync::Arc<Tables>,
    asynchronous: bool,
}

impl Store {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config) where a setting makes no sense.
    pub fn new(connection: &Connection, tables: &Tables) -> Result<Self> {
        connection.check()?;
        tables.check()?;
        Ok(Self {
            servers: Servers::new(connection)?,
            tables: std::sync::Arc::new(tables.clone()),
            asynchronous: false,
        })
    }

    /// Whether the server is to gather inserts of many small writers into one. It answers once the rows are in their table
    /// all the same.
    #[must_use]
    pub fn asynchronous(mut self, asynchronous: bool) -> Self {
        self.asynchronous = asynchronous;
        self
    }

    /// How the store keeps its tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Brings the schema up to date, unless that is [switched off](Tables::migrate), and looks at its columns. Several
    /// programs may do this at once. Nothing that is there is dropped.
    ///
    /// # Errors
    /// [`Schema`](qicore_data::ErrorKind::Schema) where the schema is newer than this program, or a table is not as it was
    /// made; [`Config`](qicore_data::ErrorKind::Config) where the user's profile ends answers in the middle; and what
    /// connecting fails with.
    pub async fn migrate(&self) -> Result<()> {
        schema::migrate(&self.servers, &self.tables).await
    }

    /// Checks that the schema is there, in a version that this program reads, and that answers come whole.
    ///
    /// # Errors
    /// [`Schema`](qicore_data::ErrorKind::Schema) where it is not, [`Config`](qicore_data::ErrorKind::Config) where the
    /// user's profile ends answers in the middle, and what connecting fails with.
    pub async fn check(&self) -> Result<()> {
        schema::check(&self.servers, &self.tables).await
    }

    /// Nothing is to be done: connections are closed after two idle seconds, and with the last clone.
    pub async fn close(&self) {}

    /// A table or view of the database, as SQL names it.
    fn qualified(&self, name: &str) -> String {
        format!("`{}`.{name}", self.tables.database)
    }
}

crate::stored::stored!(Store);
