//! What the tables are called, and how ClickHouse is to keep them.

use qicore_data::{Error, Result, Timeframe};
use serde::Deserialize;

use crate::Period;

/// How prices and sizes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Decimals {
    /// `Decimal(38, 18)`: exact, with 20 digits before the point and 18 behind it. A value with more goes to the dead
    /// letters.
    #[default]
    Decimal128,
    /// `Decimal(76, 28)`: exact, for every value that there can be. Half as fast to write.
    Decimal256,
    /// `Float64`, for analysts who want the speed: values are **rounded** to some 16 digits.
    Float64,
}

impl Decimals {
    /// The type.
    pub fn as_type(self) -> &'static str {
        match self {
            Self::Decimal128 => "Decimal(38, 18)",
            Self::Decimal256 => "Decimal(76, 28)",
            Self::Float64 => "Float64",
        }
    }

    /// Bytes of a value.
    pub(in crate::clickhouse) const fn width(self) -> usize {
        match self {
            Self::Decimal128 => 16,
            Self::Decimal256 => 32,
            Self::Float64 => 8,
        }
    }

    /// What a value must be to fit.
    pub(in crate::clickhouse) fn limits(self) -> &'static str {
        match self {
            Self::Decimal128 => {
                "Decimal(38, 18) takes 20 digits before the point and 18 behind it: set tables.decimals = \"decimal256\" for more"
            }
            Self::Decimal256 => "Decimal(76, 28) takes 48 digits before the point and 28 behind it",
            Self::Float64 => "no double",
        }
    }
}

/// The tables: where they are, and how they are kept. Periods are like `7 days` or `1 month`, or `off`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tables {
    /// The database; made if it is not there.
    pub database: String,
    /// Whether missing migrations and changed settings are applied when a sink opens. Without, a schema that is behind is
    /// an error.
    pub migrate: bool,
    /// How prices and sizes are kept. Chosen once, when the tables are made.
    pub decimals: Decimals,
    /// Whether order books are kept. Without, there is no such table, and the sink passes them over.
    pub books: bool,
    /// Of which bars the hourly and daily views are made.
    pub rollup_from: Timeframe,
    /// Whether an insert is answered only once it is on the disk and not only with the system. Without, a power failure
    /// (not the end of the server's process) may take the last seconds, unless another replica has them.
    pub fsync: bool,
    /// From which age trades, quotes, tickers and books are dropped.
    pub tick_retention: Period,
    /// From which age candles, prices, series and alerts are dropped.
    pub candle_retention: Period,
    /// From which age rows move to the volume `cold_volume` of the storage policy.
    pub cold_after: Period,
    /// The volume for old rows.
    pub cold_volume: Option<String>,
    /// The storage policy of all tables.
    pub storage_policy: Option<String>,
    /// Replicated tables. Where neither `cluster` is set nor the database itself is a replicated one, `replica_path` must be.
    pub replicated: bool,
    /// The path of each table in Keeper, with the server's macros: `/clickhouse/tables/{shard}/{database}/{table}`.
    pub replica_path: Option<String>,
    /// The cluster on whose servers all statements run (`ON CLUSTER`).
    pub cluster: Option<String>,
    /// Several shards: each table is `…_local` on every server, and a distributed one of the plain name is above it.
    pub sharded: bool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            database: "default".into(),
            migrate: true,
            decimals: Decimals::default(),
            books: true,
            rollup_from: Timeframe::M1,
            fsync: false,
            tick_retention: Period::OFF,
            candle_retention: Period::OFF,
            cold_after: Period::OFF,
            cold_volume: None,
            storage_policy: None,
            replicated: false,
            replica_path: None,
            cluster: None,
            sharded: false,
        }
    }
}

impl Tables {
    /// The defaults in this database.
    pub fn in_database(database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            ..Self::default()
        }
    }

    /// The table of a name that holds rows itself.
    pub(in crate::clickhouse) fn local(&self, table: &str) -> String {
        match self.sharded {
            true => format!("{table}_local"),
            false => table.to_owned(),
        }
    }

    /// Sets how prices and sizes are kept.
    #[must_use]
    pub fn decimals(mut self, decimals: Decimals) -> Self {
        self.decimals = decimals;
        self
    }

    /// Replicated tables on all servers of a cluster, in several shards or one.
    #[must_use]
    pub fn on_cluster(mut self, cluster: impl Into<String>, sharded: bool) -> Self {
        (self.cluster, self.replicated, self.sharded) = (Some(cluster.into()), true, sharded);
        self
    }

    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        let fail = |message: &str| Err(Error::config("clickhouse.config", message));
        if !is_plain(&self.database) {
            return fail("database must be 1 to 60 letters, digits and underscores, and not begin with a digit");
        }
        if ["system", "information_schema"].contains(&self.database.to_lowercase().as_str()) {
            return fail("database is one of the server's own");
        }
        let names = [&self.cluster, &self.cold_volume, &self.storage_policy];
        if !names.into_iter().flatten().all(|name| is_plain(name)) {
            return fail("cluster, cold_volume and storage_policy must be letters, digits and underscores");
        }
        if self.sharded && self.cluster.is_none() {
            return fail("sharded tables need the name of the cluster");
        }
        if self.replica_path.is_some() && !self.replicated {
            return fail("replica_path is for replicated tables: set replicated = true");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-/{}.".contains(c);
        if self
            .replica_path
            .as_deref()
            .is_some_and(|path| !path.starts_with('/') || !path.chars().all(plain))
        {
            return fail("replica_path must be like /clickhouse/tables/{shard}/{database}/{table}");
        }
        if self
            .replica_path
            .as_deref()
            .is_some_and(|path| !path.contains("{table}"))
        {
            return fail("replica_path needs {table} in it: each table has a path of its own");
        }
        if !Timeframe::H1.contains(self.rollup_from) && self.rollup_from != Timeframe::H1 {
            return fail("rollup_from must be bars that hours are made of: 1s to 1h");
        }
        if (self.cold_after == Period::OFF) != self.cold_volume.is_none() {
            return fail("cold_after and cold_volume go together");
        }
        if self.cold_volume.is_some() && self.storage_policy.is_none() {
            return fail("cold_volume is a volume of storage_policy: set that too");
        }
        Ok(())
    }
}

/// Whether a name can stand in scripts as it is: a DBA is to read them.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=60).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}
