//! One lane's writer: how many rows it has written, and what waits for a checkpoint.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{Checkpoint, Delivery, Error, Lane, Receipt, Result};

use crate::lanes::LaneWriter;

use super::Shared;
use super::load::Load;

/// A delivery whose rows are in their tables, and which no stored checkpoint covers yet.
struct Staged {
    token: String,
    rows: u64,
    checkpoint: Option<Arc<Checkpoint>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    lane: Lane,
    /// A number that no other taking up of a lane has. A batch of an earlier one is not to be taken for one of this: the
    /// server may have noted its token without its rows.
    run: u64,
    finished: bool,
    /// Rows up to the stored checkpoint, over all runs.
    rows: u64,
    /// What waits, in order: for its refused rows to be put away, or for a checkpoint.
    staged: Vec<Staged>,
    /// The delivery that is being written. It outlives a call that failed, or was given up in the middle: what is in its
    /// table is not sent again, and what may be goes under the token that it had.
    loading: Option<Load>,
    /// Rows of a block, as far as the server's memory was found to reach.
    most_rows: usize,
}

#[async_trait]
impl LaneWriter for Writer {
    const WRITE: &str = "clickhouse.write";
    const CLOSE: &str = "clickhouse.close";

    type Shared = Shared;

    fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            shared,
            lane,
            run: 0,
            finished: false,
            rows: 0,
            staged: Vec::new(),
            loading: None,
            most_rows: usize::MAX,
        }
    }

    async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        let held = self.shared.store.held(&self.shared.writer, &self.lane).await;
        let held = held.map_err(|error| error.with("lane", &self.lane))?;
        self.staged.clear();
        self.loading = None;
        self.run = RandomState::new().hash_one(self.lane.as_str());
        self.rows = held.as_ref().map_or(0, |held| held.rows);
        let checkpoint = held.map(|held| held.checkpoint);
        self.finished = checkpoint.as_ref().is_some_and(|held| held.finished);
        Ok(checkpoint)
    }

    /// Writes a delivery, and notes its checkpoint. Without one, or where rows are refused, that waits.
    async fn write(&mut self, delivery: &Delivery) -> Result<Receipt> {
        let token = delivery.token();
        // A caller that did not hear of the first try.
        self.staged.retain(|staged| staged.token != token);
        if delivery.is_empty() && delivery.checkpoint.is_none() {
            return Ok(match self.staged.is_empty() {
                true => Receipt::durable(),
                false => Receipt::staged(),
            });
        }
        let refused = self.load(delivery, &token).await?;
        self.staged.push(Staged {
            token,
            rows: delivery.len() as u64,
            checkpoint: delivery.checkpoint.clone(),
        });
        if delivery.checkpoint.is_none() || !refused.is_empty() {
            self.loading = None;
            let mut receipt = Receipt::staged();
            refused
                .into_iter()
                .for_each(|(place, reason)| receipt.reject(place, reason));
            return Ok(receipt);
        }
        if let Err(error) = self.flush().await {
            self.staged.pop();
            return Err(error);
        }
        self.loading = None;
        Ok(Receipt::durable())
    }

    /// Notes the checkpoint of the last delivery.
    async fn flush(&mut self) -> Result<()> {
        let Some(checkpoint) = self.staged.last().and_then(|staged| staged.checkpoint.clone()) else {
            return Ok(());
        };
        let rows = self.rows + self.staged();
        let Shared { store, writer, .. } = &*self.shared;
        let noted = store.note(writer, &self.lane, &checkpoint, rows).await;
        noted.map_err(|error| error.with("lane", &self.lane))?;
        self.staged.clear();
        (self.rows, self.finished) = (rows, checkpoint.finished);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.staged.is_empty() && self.finished
    }

    fn staged(&self) -> u64 {
        self.staged.iter().map(|staged| staged.rows).sum()
    }
}

impl Writer {
    /// Puts the rows into their tables. Gives those that are refused.
    async fn load(&mut self, delivery: &Delivery, token: &str) -> Result<Vec<(usize, Error)>> {
        let first = self.rows + self.staged();
        let token = format!("{:016x}/{token}", self.run);
        let load = match self.loading.take() {
            Some(load) if load.is_of(&token, first) => load,
            _ => Load::new(&self.shared, &self.lane, delivery, token, first),
        };
        let load = self.loading.insert(load);
        load.finish(&self.shared, delivery, &mut self.most_rows)
            .await
            .map_err(|error| error.with("lane", &self.lane))?;
        Ok(load.take_refused())
    }
}
