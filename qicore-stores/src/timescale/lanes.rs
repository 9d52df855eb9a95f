//! How far each lane has been written: in the transaction that writes its rows.

use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Result, RetryAdvice, WriterId};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::Store;
use super::error::mapped;

/// What came of moving a lane on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is moved when the transaction is committed.
    Now,
    /// It was moved before, by the same delivery: its commit was done, only the answer was lost.
    Before,
}

impl Store {
    /// The checkpoint that is stored for a lane.
    ///
    /// # Errors
    /// What the database fails with, and [`Checkpoint`](ErrorKind::Checkpoint) where it cannot be read.
    pub async fn checkpoint(&self, writer: &WriterId, lane: &Lane) -> Result<Option<Checkpoint>> {
        let mut lease = self.lease("timescale.checkpoint").await?;
        let sql = format!(
            "SELECT checkpoint FROM {} WHERE pipeline = $1 AND sink = $2 AND lane = $3",
            self.qualified("qicore_lanes")
        );
        let query = sqlx::query(&sql)
            .bind(&*writer.pipeline)
            .bind(&*writer.sink)
            .bind(lane.as_str());
        let row = query.fetch_optional(&mut *lease).await;
        let row = row.map_err(|error| mapped("timescale.checkpoint", error).with("lane", lane))?;
        lease.give_back();
        row.map(|row| Checkpoint::from_json(row.get(0))).transpose()
    }
}

/// Moves a lane from one checkpoint to the next. Who moves it first wins: a process that was taken for dead and goes on
/// writes nothing.
pub(super) async fn advance(
    connection: &mut PgConnection,
    table: &str,
    writer: &WriterId,
    from: Option<&Checkpoint>,
    to: &Checkpoint,
    token: &str,
) -> Result<Moved> {
    let fail = |error| mapped("timescale.advance", error).with("lane", &to.lane);
    let sql = match from {
        Some(_) => format!(
            "UPDATE {table} SET position = $4, finished = $5, checkpoint = $6, token = $7, updated_at = now() \
             WHERE pipeline = $1 AND sink = $2 AND lane = $3 AND position = $8 AND finished = $9"
        ),
        None => format!(
            "INSERT INTO {table} (pipeline, sink, lane, position, finished, checkpoint, token) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"
        ),
    };
    let mut query = sqlx::query(&sql)
        .bind(&*writer.pipeline)
        .bind(&*writer.sink)
        .bind(to.lane.as_str())
        .bind(position(to)?)
        .bind(to.finished)
        .bind(to.to_json())
        .bind(token);
    if let Some(from) = from {
        query = query.bind(position(from)?).bind(from.finished);
    }
    match query.execute(&mut *connection).await.map_err(fail)?.rows_affected() {
        1 => Ok(Moved::Now),
        _ => found(connection, table, writer, from, to, token).await,
    }
}

/// Where a lane is that was not where it was thought to be: moved by this delivery before, or by someone else.
pub(super) async fn found(
    connection: &mut PgConnection,
    table: &str,
    writer: &WriterId,
    from: Option<&Checkpoint>,
    to: &Checkpoint,
    token: &str,
) -> Result<Moved> {
    let fail = |error| mapped("timescale.advance", error).with("lane", &to.lane);
    let sql = format!("SELECT position, token FROM {table} WHERE pipeline = $1 AND sink = $2 AND lane = $3");
    let query = sqlx::query(&sql)
        .bind(&*writer.pipeline)
        .bind(&*writer.sink)
        .bind(to.lane.as_str());
    let row = query.fetch_optional(connection).await.map_err(fail)?;
    let held: Option<(i64, String)> = row.map(|row| (row.get(0), row.get(1)));
    match held {
        Some((_, held)) if held == token => Ok(Moved::Before),
        held => Err(moved_by_another(writer, from, to, held.map(|(position, _)| position))),
    }
}

fn moved_by_another(writer: &WriterId, from: Option<&Checkpoint>, to: &Checkpoint, held: Option<i64>) -> Error {
    let told = |position: Option<i64>| position.map_or("none".to_owned(), |position| position.to_string());
    let expected = from.map(|from| from.position.offset as i64);
    let message = "the lane's stored position was changed by someone else: does the pipeline run twice?";
    Error::new(ErrorKind::Checkpoint, "timescale.advance", message)
        .with_retry(RetryAdvice::Never)
        .with("pipeline", &writer.pipeline)
        .with("lane", &to.lane)
        .with("expected", told(expected))
        .with("stored", told(held))
}

pub(super) fn position(checkpoint: &Checkpoint) -> Result<i64> {
    let offset = checkpoint.position.offset;
    i64::try_from(offset).map_err(|_| {
        let message = format!("the offset {offset} is more than a bigint holds");
        Error::new(ErrorKind::Unsupported, "timescale.advance", message).with("lane", &checkpoint.lane)
    })
}
