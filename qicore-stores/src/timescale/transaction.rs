//! Rows and the position of their lane, together or not at all.

use std::ops::Range;

use qicore_data::{Error, Result};
use sqlx::Executor;
use sqlx::postgres::{PgConnection, PgCopyIn};

use super::connect::Lease;
use super::encode::Rows;
use super::error::{Failure, mapped};
use super::lanes::{Moved, Step};
use super::{Store, Table, each};

/// Pieces of a copy that are sent at once.
const PIECE: usize = 256 << 10;

/// A transaction on one connection. Dropped without a commit, or at any await, it is rolled back with its connection.
#[derive(Debug)]
pub struct Transaction<'a> {
    store: &'a Store,
    lease: Lease,
}

impl Store {
    /// Begins a transaction.
    ///
    /// # Errors
    /// What connecting fails with.
    pub async fn begin(&self) -> Result<Transaction<'_>> {
        let mut lease = self.lease("timescale.begin").await?;
        run(
            &mut lease,
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE",
        )
        .await?;
        Ok(Transaction { store: self, lease })
    }
}

async fn run(connection: &mut PgConnection, sql: &'static str) -> Result<()> {
    connection
        .execute(sql)
        .await
        .map(drop)
        .map_err(|error| mapped("timescale.transaction", error))
}

impl Transaction<'_> {
    /// Moves a lane on, if it is still where the step begins, and the claim's.
    ///
    /// # Errors
    /// [`Checkpoint`](qicore_data::ErrorKind::Checkpoint) where someone else has taken or moved it.
    pub async fn advance(&mut self, step: Step<'_>) -> Result<Moved> {
        step.run(&mut self.lease, &self.store.tables.schema).await
    }

    /// Begins a copy into a table, or into the session's staging table for it.
    ///
    /// Straight is the fastest way, but it fails where a row is there already.
    pub async fn copy(&mut self, table: &Table, target: Target) -> Result<Copying<'_>, Failure> {
        let failed = |error| Failure::of("timescale.copy", error);
        let statements = self.store.statements(table);
        let sql = match target {
            Target::Table => &statements.copy,
            Target::Staging => {
                self.lease.execute(statements.stage.as_str()).await.map_err(failed)?;
                &statements.copy_stage
            }
        };
        let copy = self.lease.copy_in_raw(sql).await.map_err(failed)?;
        let rows = (target == Target::Table).then_some(0);
        let table = table.name;
        Ok(Copying {
            copy,
            begun: false,
            rows,
            table,
        })
    }

    /// Takes the staged rows into their table: what is there already is left, or corrected where the new row is not
    /// older and says something else.
    pub async fn merge(&mut self, table: &Table) -> Result<(), Failure> {
        let failed = |error| Failure::of("timescale.merge", error);
        let statements = self.store.statements(table);
        self.lease
            .execute(statements.merge.as_str())
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Takes the staged rows into their table, but for those that the database refuses. Gives the places of these among
    /// the staged rows, and the reasons.
    ///
    /// # Errors
    /// What is not for a row.
    pub async fn take_each(&mut self, table: &Table) -> Result<Vec<(usize, Error)>> {
        each::run(&mut self.lease, &self.store.statements(table).each).await
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// Where the connection is lost before the answer it may be done all the same: [`advance`](Self::advance) tells at
    /// the next try.
    pub async fn commit(mut self) -> Result<()> {
        run(&mut self.lease, "COMMIT").await?;
        self.lease.give_back();
        Ok(())
    }

    /// Undoes everything.
    ///
    /// # Errors
    /// Where the connection is lost, which undoes it as well.
    pub async fn roll_back(mut self) -> Result<()> {
        run(&mut self.lease, "ROLLBACK").await?;
        self.lease.give_back();
        Ok(())
    }
}

/// Where a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Straight into the table.
    Table,
    /// Into the staging table, to be [merged](Transaction::merge).
    Staging,
}

/// A copy under way. The server works on what has been sent while more is made.
#[allow(missing_debug_implementations, reason = "the driver's part of it has none")]
pub struct Copying<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    begun: bool,
    /// How many rows have been sent, where the server is to tell how many it took.
    rows: Option<usize>,
    table: &'static str,
}

impl Copying<'_> {
    /// Sends rows of a range. That the database refuses one of them is told by [`finish`](Self::finish).
    pub async fn send(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), Failure> {
        if let Some(sent) = &mut self.rows {
            *sent += range.len();
        }
        let [header, rows, _] = rows.copy(range);
        let header = if std::mem::replace(&mut self.begun, true) {
            &[]
        } else {
            header
        };
        self.pieces(header).await?;
        self.pieces(rows).await
    }

    /// Ends the copy.
    pub async fn finish(mut self) -> Result<(), Failure> {
        let [header, _, trailer] = Rows::EMPTY;
        let header = if self.begun { &[] } else { header };
        self.pieces(header).await?;
        self.pieces(trailer).await?;
        let finished = self.copy.finish().await;
        let taken = finished.map_err(|error| Failure::of("timescale.copy", error))?;
        if let Some(sent) = self.rows.filter(|sent| *sent as u64 > taken) {
            // Somebody's rule, which is not to be argued with; but whoever counts the rows is to know.
            tracing::warn!(table = self.table, sent, taken, "a trigger of the table drops rows");
        }
        Ok(())
    }

    async fn pieces(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(PIECE) {
            let sent = self.copy.send(piece).await;
            sent.map_err(|error| Failure::of("timescale.copy", error))?;
        }
        Ok(())
    }
}
