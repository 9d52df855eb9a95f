//! How far lanes have been written.

use qicore_data::{Checkpoint, Lane, Result, StableHash, WriterId};
use serde_json::json;

use super::Store;

/// What the store holds for a lane.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Held {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// How many rows there were up to it, over all runs.
    pub rows: u64,
}

/// The number of a writer's lane in its rows: the same in every run.
pub fn lane_number(writer: &WriterId, lane: &Lane) -> u64 {
    let mut hash = StableHash::default();
    for part in [&*writer.pipeline, &*writer.sink, lane.as_str()] {
        hash.write(part.as_bytes());
        hash.write(&[0]);
    }
    hash.finish()
}

impl Store {
    /// How far a lane has been written. `None` where it is new.
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn held(&self, writer: &WriterId, lane: &Lane) -> Result<Option<Held>> {
        let sql = format!(
            "SELECT rows, checkpoint FROM {} WHERE pipeline = {{pipeline:String}} AND sink = {{sink:String}} \
             AND lane = {{lane:String}} ORDER BY position DESC, finished DESC, rows DESC LIMIT 1",
            self.qualified("qicore_lanes")
        );
        let parameters = [
            ("pipeline", &*writer.pipeline),
            ("sink", &*writer.sink),
            ("lane", lane.as_str()),
        ];
        let rows: Vec<(u64, String)> = self.servers.all("clickhouse.lane", &sql, &parameters).await?;
        let held = rows.into_iter().next().map(|(rows, text)| {
            let checkpoint = Checkpoint::from_json(&text)?;
            Ok(Held { checkpoint, rows })
        });
        held.transpose()
    }

    /// Notes how far a lane has been written. The rows are to be there already: what is noted is never read again.
    ///
    /// Noted twice it is the same, so that an answer that was lost does no harm.
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn note(&self, writer: &WriterId, lane: &Lane, checkpoint: &Checkpoint, rows: u64) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (pipeline, sink, lane, position, finished, rows, checkpoint) FORMAT JSONEachRow",
            self.qualified("qicore_lanes")
        );
        let row = json!({
            "pipeline": &*writer.pipeline, "sink": &*writer.sink, "lane": lane.as_str(),
            "position": checkpoint.position.offset, "finished": checkpoint.finished, "rows": rows,
            "checkpoint": checkpoint.to_json(),
        });
        let line = bytes::Bytes::from(row.to_string());
        let noted = self.servers.ask("clickhouse.lane", |server| async {
            let mut insert = self
                .servers
                .insert(server, &sql)
                .with_setting("async_insert", if self.asynchronous { "1" } else { "0" })
                .with_setting("wait_for_async_insert", "1")
                .with_setting("insert_deduplicate", "0");
            if self.tables.sharded {
                insert = insert.with_setting("distributed_foreground_insert", "1");
            }
            insert.send(line.clone()).await?;
            insert.end().await
        });
        noted.await
    }
}
