//! TimescaleDB, and PostgreSQL without it.
//!
//! A [`Store`] is one schema of one database. It [migrates](Store::migrate) itself, takes rows in
//! [transactions](write::Transaction) together with the position of the lane that they came from, and answers what
//! applications ask: the [latest candle](Store::latest_candle), a [range](Store::read), [missing
//! bars](Store::missing_candles), its own [health](Store::health).
//!
//! The tables are described where they are made: `qicore schema timescale` prints them.

mod arrange;
mod config;
mod connect;
mod decode;
mod each;
mod encode;
mod error;
mod health;
mod lanes;
mod numeric;
mod queries;
mod read;
mod schema;
mod select;
mod small;
mod tables;
mod transaction;

use qicore_data::{Error, ErrorKind, Result};

pub use config::{Connection, TlsMode};
pub use health::{Health, Job};
pub use schema::{Flavour, Mode, Tables, VERSION, roles, script};
pub use tables::Table;

pub use crate::{Cursor, Foreign, Missing, Page, Period, Reading, Selection};

pub mod write {
    //! What a sink is made of. An application that only asks needs none of it.
    //!
    //! A sink [claims](super::Store::claim) to write, [takes up](super::Store::take_up) a lane, and for each delivery
    //! [arranges](arrange()) its events and writes them as [`Rows`] in a [`Transaction`] that moves the lane by a
    //! [`Step`]; or all at once, where they are few, by [`Store::put`](super::Store::put).

    pub use super::arrange::{Arranged, arrange, arrange_apart};
    pub use super::encode::Rows;
    pub use super::error::Failure;
    pub use super::lanes::{Claim, Moved, Step};
    pub use super::transaction::{Copying, Target, Transaction};
}

use connect::{Connections, Lease};
use tables::Statements;

/// One schema of one database. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Connections,
    tables: std::sync::Arc<Tables>,
    statements: std::sync::Arc<[Statements]>,
}

impl Store {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config) where a setting makes no sense.
    pub fn new(connection: &Connection, tables: &Tables) -> Result<Self> {
        connection.check()?;
        tables.check()?;
        let statements = Table::all().iter().map(|table| Statements::new(&tables.schema, table));
        Ok(Self {
            connections: Connections::new(connection)?,
            statements: statements.collect(),
            tables: std::sync::Arc::new(tables.clone()),
        })
    }

    /// Brings the schema up to date, unless that is [switched off](Tables::migrate), and says what the database is.
    /// Several programs may do this at once. Nothing that is there is dropped.
    ///
    /// # Errors
    /// [`Schema`](qicore_data::ErrorKind::Schema) where the schema is newer than this program or was made in another
    /// mode, or where the extension is asked for and missing; and what connecting fails with.
    pub async fn migrate(&self) -> Result<Flavour> {
        let mut lease = self.lease("timescale.migrate").await?;
        let flavour = schema::migrate(&mut lease, &self.tables).await?;
        lease.give_back();
        Ok(flavour)
    }

    /// Checks that the schema is there, in a version that this program reads.
    ///
    /// # Errors
    /// [`Schema`](qicore_data::ErrorKind::Schema) where it is not, and what connecting fails with.
    pub async fn check(&self) -> Result<()> {
        let mut lease = self.lease("timescale.check").await?;
        let found = schema::found(&mut lease, &self.tables).await?;
        lease.give_back();
        let message = match found {
            Some((VERSION, _)) => return Ok(()),
            Some((version, _)) => {
                format!("the schema has version {version}, and this program reads {VERSION}: let a sink migrate it")
            }
            None => "the database has no schema of QiCore: is it another one?".into(),
        };
        Err(Error::new(ErrorKind::Schema, "timescale.check", message).with("schema", &self.tables.schema))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    async fn lease(&self, operation: &'static str) -> Result<Lease> {
        self.connections.lease(operation).await
    }

    fn statements(&self, table: &Table) -> &Statements {
        // Statements are made of the tables, in their order.
        let at = Table::all()
            .iter()
            .position(|known| known.event_type == table.event_type);
        &self.statements[at.unwrap_or_default()]
    }

    /// A table or view of the schema, as SQL names it.
    fn qualified(&self, name: &str) -> String {
        format!("{}.{name}", schema::quoted(&self.tables.schema))
    }
}

crate::stored::stored!(Store);
