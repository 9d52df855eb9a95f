//! One lane's writer: what is stored for it, and what waits for a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, Result};

use super::Shared;
use super::attempt::{Attempt, Outcome};

/// A delivery that is not durable, and its rows that are not to be.
pub(super) struct Staged {
    pub(super) delivery: Delivery,
    /// Places of refused rows, with the reason while it is not yet told.
    pub(super) refused: BTreeMap<usize, Option<Error>>,
}

impl Staged {
    fn new(delivery: &Delivery) -> Self {
        Self {
            delivery: delivery.clone(),
            refused: BTreeMap::new(),
        }
    }
}

pub(super) struct LaneWriter {
    shared: Arc<Shared>,
    lane: Lane,
    /// What the database holds for the lane.
    held: Option<Checkpoint>,
    /// What waits, in order: for its refused rows to be put away, or for a checkpoint.
    staged: Vec<Staged>,
}

impl LaneWriter {
    pub(super) fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            shared,
            lane,
            held: None,
            staged: Vec::new(),
        }
    }

    /// What the database holds.
    pub(super) async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        self.staged.clear();
        self.held = self.shared.store.checkpoint(&self.shared.writer, &self.lane).await?;
        Ok(self.held.clone())
    }

    /// Writes a delivery with its checkpoint. Without one, or where rows are refused, everything is tried, rolled back,
    /// and waits.
    pub(super) async fn write(&mut self, delivery: &Delivery) -> Result<Receipt> {
        let token = delivery.token();
        // A caller that did not hear of the first try.
        self.staged.retain(|staged| staged.delivery.token() != token);
        if delivery.is_empty() && delivery.checkpoint.is_none() {
            return Ok(if self.staged.is_empty() {
                Receipt::durable()
            } else {
                Receipt::staged()
            });
        }
        self.staged.push(Staged::new(delivery));
        let outcome = self.attempt(delivery.checkpoint.is_some()).await;
        let Some(last) = self.staged.last_mut() else {
            return Ok(Receipt::durable());
        };
        match outcome {
            Ok(Outcome::Committed) => {
                self.committed(delivery.checkpoint.as_deref());
                Ok(Receipt::durable())
            }
            Ok(Outcome::RolledBack) => {
                let mut receipt = Receipt::staged();
                for (place, reason) in &mut last.refused {
                    if let Some(reason) = reason.take() {
                        receipt.reject(*place, reason);
                    }
                }
                Ok(receipt)
            }
            Err(error) => {
                self.staged.pop();
                Err(error)
            }
        }
    }

    /// Commits what waits, with the checkpoint of the last delivery.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let Some(checkpoint) = self.staged.last().and_then(|staged| staged.delivery.checkpoint.clone()) else {
            return Ok(());
        };
        match self.attempt(true).await? {
            Outcome::Committed => {
                self.committed(Some(&checkpoint));
                Ok(())
            }
            Outcome::RolledBack => {
                let message = "a row that the database took is refused now: start again, to have it refused by name";
                let reasons = self.staged.iter_mut().flat_map(|staged| staged.refused.values_mut());
                let reason = reasons.filter_map(Option::take).next();
                let error = Error::new(ErrorKind::Rejected, "timescale.flush", message).with("lane", &self.lane);
                Err(match reason {
                    Some(reason) => error.with_source(reason),
                    None => error,
                })
            }
        }
    }

    async fn attempt(&mut self, commit: bool) -> Result<Outcome> {
        let attempt = Attempt {
            shared: &self.shared,
            held: self.held.as_ref(),
            commit,
        };
        attempt
            .run(&mut self.staged)
            .await
            .map_err(|error| error.with("lane", &self.lane))
    }

    fn committed(&mut self, checkpoint: Option<&Checkpoint>) {
        self.staged.clear();
        self.held = checkpoint.cloned();
    }

    /// Nothing waits, and nothing will come.
    pub(super) fn is_done(&self) -> bool {
        self.staged.is_empty() && self.held.as_ref().is_some_and(|held| held.finished)
    }

    /// Rows that are not durable.
    pub(super) fn staged(&self) -> usize {
        self.staged.iter().map(|staged| staged.delivery.len()).sum()
    }
}
