//! How far each lane has been written, and by whom: in the transaction that writes its rows.

use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Result, RetryAdvice, WriterId};
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;

use super::error::mapped;
use super::{Store, schema::quoted};

/// The right to write as a pipeline's sink. The newest claim holds: whoever has an older one writes nothing more. Of a
/// pipeline that several processes run together each lane has a claim of its own.
#[derive(Debug, Clone)]
pub struct Claim {
    writer: WriterId,
    /// Counts the claims of this writer.
    generation: i64,
}

/// What came of moving a lane on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is moved when the transaction is committed.
    Now,
    /// It was moved before, by the same delivery: its commit was done, only the answer was lost.
    Before,
}

impl Claim {
    /// Who writes.
    pub fn writer(&self) -> &WriterId {
        &self.writer
    }
}

impl Store {
    /// Claims to be the one who writes as this pipeline's sink, which nobody notices yet: who did until now goes on until
    /// its lanes are [taken up](Self::take_up).
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn claim(&self, writer: &WriterId) -> Result<Claim> {
        let mut lease = self.lease("timescale.claim").await?;
        let sql = format!(
            "INSERT INTO {} AS old (pipeline, sink, generation) VALUES ($1, $2, 1) \
             ON CONFLICT (pipeline, sink) DO UPDATE SET generation = old.generation + 1, client = DEFAULT, \
             claimed_at = DEFAULT RETURNING generation",
            self.qualified("qicore_writers")
        );
        let query = sqlx::query(&sql).bind(&*writer.pipeline).bind(&*writer.sink);
        let row = query.fetch_one(&mut *lease).await;
        let row = row.map_err(|error| mapped("timescale.claim", error))?;
        lease.give_back();
        Ok(Claim {
            writer: writer.clone(),
            generation: row.get(0),
        })
    }

    /// Takes a lane from whoever has written it, and gives its stored checkpoint. A transaction that is moving it is
    /// waited for, and ended after `lock_timeout`: the next try finds the lane free.
    ///
    /// # Errors
    /// What the database fails with, [`Checkpoint`](ErrorKind::Checkpoint) where the checkpoint cannot be read, and
    /// [`Fenced`](ErrorKind::Fenced) where the lane belongs to a newer claim.
    pub async fn take_up(&self, claim: &Claim, lane: &Lane) -> Result<Option<Checkpoint>> {
        let mut lease = self.lease("timescale.checkpoint").await?;
        let sql = format!(
            "INSERT INTO {} AS old (pipeline, sink, lane, generation) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (pipeline, sink, lane) DO UPDATE SET generation = EXCLUDED.generation \
             WHERE old.generation <= EXCLUDED.generation RETURNING checkpoint",
            self.qualified("qicore_lanes")
        );
        let query = bound(sqlx::query(&sql), claim, lane).bind(claim.generation);
        let row = match query.fetch_optional(&mut *lease).await {
            Ok(row) => row,
            Err(error) => {
                let error = mapped("timescale.checkpoint", error).with("lane", lane);
                if error.kind() == ErrorKind::Timeout {
                    drop(lease);
                    self.end_older(claim, lane).await?;
                }
                return Err(error);
            }
        };
        lease.give_back();
        let row = row.ok_or_else(|| taken_over(claim, lane))?;
        let stored: Option<String> = row.get(0);
        stored.map(|stored| Checkpoint::from_json(&stored)).transpose()
    }

    /// Ends the session of an older run that keeps a lane by a transaction that does not end: a process that was stopped,
    /// or whose host is gone. In the middle of a copy the server itself waits for its rows without limit.
    async fn end_older(&self, claim: &Claim, lane: &Lane) -> Result<()> {
        let mut lease = self.lease("timescale.checkpoint").await?;
        let sql = format!(
            "SELECT holder.pid, pg_terminate_backend(holder.pid) FROM {} AS lane JOIN pg_locks AS holder \
             ON holder.locktype = 'transactionid' AND holder.transactionid = lane.xmax AND holder.granted \
             WHERE pipeline = $1 AND sink = $2 AND lane = $3 AND generation < $4",
            self.qualified("qicore_lanes")
        );
        let query = bound(sqlx::query(&sql), claim, lane).bind(claim.generation);
        let rows = match query.fetch_all(&mut *lease).await {
            Ok(rows) => rows,
            // Another role's session, perhaps: then it is for a person to end.
            Err(error) => {
                tracing::warn!(%lane, %error, "an older run's session keeps the lane, and cannot be ended");
                return Ok(());
            }
        };
        for row in rows {
            let (pid, ended): (i32, bool) = (row.get(0), row.get(1));
            tracing::warn!(%lane, pid, ended, "an older run's session keeps the lane: it is ended");
        }
        lease.give_back();
        Ok(())
    }
}

/// A lane's way from one checkpoint to the next.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Who moves it.
    pub claim: &'a Claim,
    /// What is stored; `None` where nothing is yet.
    pub from: Option<&'a Checkpoint>,
    /// What is to be.
    pub to: &'a Checkpoint,
    /// Tells the delivery that moves it from all others.
    pub token: &'a str,
}

impl Step<'_> {
    /// The statement that moves a lane which is where it is thought to be, and is still the claim's. Its parameters
    /// are those that [`bind`](Self::bind) binds.
    pub(super) fn statement(schema: &str) -> String {
        format!(
            "UPDATE {}.qicore_lanes \
             SET position = $5, finished = $6, checkpoint = $7, token = $8, updated_at = now() \
             WHERE pipeline = $1 AND sink = $2 AND lane = $3 AND generation = $4 \
             AND position IS NOT DISTINCT FROM $9 AND finished = $10",
            quoted(schema)
        )
    }

    /// Parameters 1 to 10.
    pub(super) fn bind<'q>(&'q self, query: Postgres<'q>) -> Result<Postgres<'q>> {
        Ok(bound(query, self.claim, &self.to.lane)
            .bind(self.claim.generation)
            .bind(position(self.to)?)
            .bind(self.to.finished)
            .bind(self.to.to_json())
            .bind(self.token)
            .bind(self.from.map(position).transpose()?)
            .bind(self.from.is_some_and(|from| from.finished)))
    }

    pub(super) async fn run(&self, connection: &mut PgConnection, schema: &str) -> Result<Moved> {
        let sql = Self::statement(schema);
        let moved = self.bind(sqlx::query(&sql))?.execute(&mut *connection).await;
        match moved.map_err(|error| self.failed(error))?.rows_affected() {
            1 => Ok(Moved::Now),
            _ => self.found(connection, schema).await,
        }
    }

    /// Where a lane is that was not where it was thought to be: moved by this delivery before, or by someone else.
    pub(super) async fn found(&self, connection: &mut PgConnection, schema: &str) -> Result<Moved> {
        let sql = format!(
            "SELECT position, token, generation FROM {}.qicore_lanes WHERE pipeline = $1 AND sink = $2 AND lane = $3",
            quoted(schema)
        );
        let query = bound(sqlx::query(&sql), self.claim, &self.to.lane);
        let row = query.fetch_optional(connection).await;
        let held = row.map_err(|error| self.failed(error))?;
        match held.map(|row| (row.get(0), row.get::<String, _>(1), row.get::<i64, _>(2))) {
            Some((_, token, _)) if token == self.token => Ok(Moved::Before),
            Some((_, _, generation)) if generation > self.claim.generation => {
                Err(taken_over(self.claim, &self.to.lane))
            }
            held => Err(self.moved_by_hand(held.and_then(|(position, ..)| position))),
        }
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        mapped("timescale.advance", error).with("lane", &self.to.lane)
    }

    fn moved_by_hand(&self, held: Option<i64>) -> Error {
        let told = |position: Option<i64>| position.map_or("none".to_owned(), |position| position.to_string());
        let expected = self.from.map(|from| from.position.offset as i64);
        let message = "the lane's stored position is not the one that this writer left: it was changed by hand";
        refused(ErrorKind::Checkpoint, self.claim, &self.to.lane, message)
            .with("expected", told(expected))
            .with("stored", told(held))
            .with("advice", "start again: the lane goes on from what is stored")
    }
}

type Postgres<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Parameters 1 to 3, which name a lane.
fn bound<'q>(query: Postgres<'q>, claim: &'q Claim, lane: &'q Lane) -> Postgres<'q> {
    let WriterId { pipeline, sink, .. } = &claim.writer;
    query.bind(&**pipeline).bind(&**sink).bind(lane.as_str())
}

fn taken_over(claim: &Claim, lane: &Lane) -> Error {
    let message = "another run of this pipeline was started after this one, and has taken over: it goes on alone";
    let advice = "if both are meant to run, give one of them another name; qicore_writers tells who claimed it last";
    refused(ErrorKind::Fenced, claim, lane, message).with("advice", advice)
}

fn refused(kind: ErrorKind, claim: &Claim, lane: &Lane, message: &str) -> Error {
    Error::new(kind, "timescale.advance", message)
        .with_retry(RetryAdvice::Never)
        .with("pipeline", &claim.writer.pipeline)
        .with("lane", lane)
}

fn position(checkpoint: &Checkpoint) -> Result<i64> {
    let offset = checkpoint.position.offset;
    i64::try_from(offset).map_err(|_| {
        let message = format!("the offset {offset} is more than a bigint holds");
        Error::new(ErrorKind::Unsupported, "timescale.advance", message).with("lane", &checkpoint.lane)
    })
}
