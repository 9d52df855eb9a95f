//! Whether the store is well.

use qicore_data::Result;

use super::{Store, VERSION, schema};

/// What a probe of the store found. That it answers at all says that a server is reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The server's version.
    pub server: String,
    /// Seconds since the server was started.
    pub uptime: u64,
    /// The schema's version; `None` where it is not there.
    pub schema: Option<u32>,
    /// The schema's tables.
    pub tables: Vec<TableHealth>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableHealth {
    /// Its name.
    pub table: String,
    /// Rows, with those that are yet to be replaced.
    pub rows: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Parts that are not merged yet.
    pub parts: u64,
    /// Parts of the partition that has the most. ClickHouse slows inserts down from 1,000 on, and refuses them from 3,000.
    pub most_parts: u64,
    /// Of a replicated table: how this replica is.
    pub replica: Option<Replica>,
}

/// A replica of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replica {
    /// Whether it takes no writes: it has lost Keeper.
    pub read_only: bool,
    /// Seconds that it is behind the others.
    pub lag: u64,
    /// What it has yet to fetch and merge.
    pub queue: u64,
}

impl Health {
    /// Whether rows can be written: the schema is there in this program's version, and no replica is read-only.
    pub fn is_ready(&self) -> bool {
        let writable = |table: &TableHealth| table.replica.as_ref().is_none_or(|replica| !replica.read_only);
        self.schema == Some(VERSION) && self.tables.iter().all(writable)
    }
}

const PARTS: &str = "SELECT table, sum(rows), sum(bytes), sum(parts), max(parts) FROM (
    SELECT table, partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts
    FROM system.parts WHERE database = {database:String} AND active GROUP BY table, partition
) GROUP BY table";

const REPLICAS: &str = "SELECT table, is_readonly, absolute_delay, toUInt64(queue_size) FROM system.replicas
    WHERE database = {database:String}";

impl Store {
    /// Probes the store.
    ///
    /// # Errors
    /// Where no server can be reached, or the schema is newer than this program.
    pub async fn health(&self) -> Result<Health> {
        let operation = "clickhouse.health";
        let (server, uptime) = self
            .servers
            .one(operation, "SELECT version(), toUInt64(uptime())", &[])
            .await?;
        let schema = schema::found(&self.servers, &self.tables).await?;
        let database = [("database", self.tables.database.as_str())];
        let parts: Vec<(String, u64, u64, u64, u64)> = self.servers.all(operation, PARTS, &database).await?;
        let replicas: Vec<(String, u8, u64, u64)> = match self.tables.replicated {
            true => self.servers.all(operation, REPLICAS, &database).await?,
            false => Vec::new(),
        };
        let names = schema::wanted(&self.tables)
            .map(|table| table.name)
            .chain(["qicore_lanes"]);
        let tables = names.map(|name| self.tables.local(name)).map(|table| {
            let found = parts.iter().find(|row| row.0 == table);
            let (_, rows, bytes, parts, most_parts) = found.cloned().unwrap_or_default();
            let replica = replicas.iter().find(|row| row.0 == table);
            let replica = replica.map(|(_, read_only, lag, queue)| Replica {
                read_only: *read_only != 0,
                lag: *lag,
                queue: *queue,
            });
            TableHealth {
                table,
                rows,
                bytes,
                parts,
                most_parts,
                replica,
            }
        });
        Ok(Health {
            server,
            uptime,
            schema: schema.map(|(version, _)| version),
            tables: tables.collect(),
        })
    }
}
