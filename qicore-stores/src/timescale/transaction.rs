//! Rows and the position of their lane, together or not at all.

use std::ops::Range;

use qicore_data::{Checkpoint, Result, WriterId};
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::connect::Lease;
use super::encode::Rows;
use super::error::{Failure, mapped};
use super::lanes::{self, Moved};
use super::{Statements, Store, Table};

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
        run(&mut lease, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
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
    /// Moves a lane on, if it is still where `from` has it. `token` tells this delivery from all others.
    ///
    /// # Errors
    /// [`Checkpoint`](qicore_data::ErrorKind::Checkpoint) where someone else has moved it.
    pub async fn advance(
        &mut self,
        writer: &WriterId,
        from: Option<&Checkpoint>,
        to: &Checkpoint,
        token: &str,
    ) -> Result<Moved> {
        let table = self.store.qualified("qicore_lanes");
        lanes::advance(&mut self.lease, &table, writer, from, to, token).await
    }

    fn statements(&self, table: &Table) -> &Statements {
        self.store.statements(table)
    }

    /// Writes rows straight into their table: the fastest way, which fails where one is there already.
    pub async fn copy(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), Failure> {
        let sql = &self.store.statements(rows.table()).copy;
        copy(&mut self.lease, sql, rows, range).await
    }

    /// Writes rows by way of a staging table: what is there already is left, or corrected where the new row is not
    /// older and says something else.
    pub async fn merge(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), Failure> {
        let Statements {
            stage,
            copy_stage,
            merge,
            ..
        } = self.store.statements(rows.table());
        let failed = |error| Failure::of("timescale.merge", error);
        self.lease.execute(stage.as_str()).await.map_err(failed)?;
        copy(&mut self.lease, copy_stage, rows, range).await?;
        let merged = self.lease.execute(merge.as_str()).await;
        // Rows of a later range are not to meet these.
        let emptied = format!("DELETE FROM {}", self.statements(rows.table()).stage_name);
        merged.map_err(failed)?;
        self.lease.execute(emptied.as_str()).await.map(drop).map_err(failed)
    }

    /// Marks where to [go back](Self::back) to.
    pub async fn mark(&mut self) -> Result<()> {
        run(&mut self.lease, "SAVEPOINT rows").await
    }

    /// Keeps what was done since the last [mark](Self::mark), as a part of the whole.
    pub async fn keep(&mut self) -> Result<()> {
        run(&mut self.lease, "RELEASE SAVEPOINT rows").await
    }

    /// Undoes what was done since the last [mark](Self::mark).
    pub async fn back(&mut self) -> Result<()> {
        run(&mut self.lease, "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows").await
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

async fn copy(connection: &mut PgConnection, sql: &str, rows: &Rows, range: Range<usize>) -> Result<(), Failure> {
    let failed = |error| Failure::of("timescale.copy", error);
    let mut copy = connection.copy_in_raw(sql).await.map_err(failed)?;
    for part in rows.copy(range) {
        for piece in part.chunks(PIECE) {
            copy.send(piece).await.map_err(failed)?;
        }
    }
    copy.finish().await.map(drop).map_err(failed)
}
