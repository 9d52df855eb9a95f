//! One lane's writer: what is stored for it, and what waits for a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, Result};

use qicore_stores::timescale::write::{Claim, Failure, Step, arrange};

use crate::lanes::LaneWriter;

use super::Shared;
use super::attempt::{Attempt, Outcome};

/// Up to this many rows one statement is faster than a transaction with a copy.
const FEW: usize = 32;

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

pub(super) struct Writer {
    shared: Arc<Shared>,
    lane: Lane,
    claim: Claim,
    /// What the database holds for the lane.
    held: Option<Checkpoint>,
    /// What waits, in order: for its refused rows to be put away, or for a checkpoint.
    staged: Vec<Staged>,
}

#[async_trait]
impl LaneWriter for Writer {
    const WRITE: &str = "timescale.write";
    const CLOSE: &str = "timescale.close";

    type Shared = Shared;

    fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            claim: shared.claim.clone(),
            shared,
            lane,
            held: None,
            staged: Vec::new(),
        }
    }

    async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        self.staged.clear();
        let store = &self.shared.store;
        // Lanes that go from one process to another and back: each time is a claim of its own, for that lane alone.
        if self.claim.writer().shared {
            self.claim = store.claim(self.claim.writer()).await?;
        }
        self.held = store.take_up(&self.claim, &self.lane).await?;
        Ok(self.held.clone())
    }

    /// Writes a delivery with its checkpoint. Without one, or where rows are refused, everything is tried, rolled back,
    /// and waits.
    async fn write(&mut self, delivery: &Delivery) -> Result<Receipt> {
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
        if self.put(delivery).await? {
            self.committed(delivery.checkpoint.as_deref());
            return Ok(Receipt::durable());
        }
        self.staged.push(Staged::new(delivery));
        let outcome = self.attempt(delivery.checkpoint.is_some()).await;
        let answered = self.staged.len() - 1;
        match outcome.and_then(|outcome| self.none_late(answered).map(|()| outcome)) {
            Ok(Outcome::Committed) => {
                self.committed(delivery.checkpoint.as_deref());
                Ok(Receipt::durable())
            }
            Ok(Outcome::RolledBack) => {
                let mut receipt = Receipt::staged();
                let refused = self.staged.iter_mut().skip(answered).flat_map(|last| &mut last.refused);
                for (place, reason) in refused {
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
    async fn flush(&mut self) -> Result<()> {
        let Some(checkpoint) = self.staged.last().and_then(|staged| staged.delivery.checkpoint.clone()) else {
            return Ok(());
        };
        let outcome = self.attempt(true).await?;
        self.none_late(self.staged.len())?;
        match outcome {
            Outcome::Committed => {
                self.committed(Some(&checkpoint));
                Ok(())
            }
            Outcome::RolledBack => Err(Error::new(
                ErrorKind::Internal,
                "timescale.flush",
                "rolled back without a refused row",
            )),
        }
    }

    fn is_done(&self) -> bool {
        self.staged.is_empty() && self.held.as_ref().is_some_and(|held| held.finished)
    }

    fn staged(&self) -> u64 {
        self.staged.iter().map(|staged| staged.delivery.len() as u64).sum()
    }
}

impl Writer {
    /// Writes a few rows of one kind with their checkpoint by a single statement. False if that is not for them: they
    /// are many, of several kinds, behind others that wait, or one of them is refused.
    async fn put(&self, delivery: &Delivery) -> Result<bool> {
        let Some(checkpoint) = &delivery.checkpoint else {
            return Ok(false);
        };
        if delivery.len() > FEW || !self.staged.is_empty() {
            return Ok(false);
        }
        let events = (0..).zip(delivery.iter());
        let wanted = events.filter(|(_, event)| self.shared.wants(event.event_type()));
        let [arranged] = &arrange(wanted)[..] else {
            return Ok(false);
        };
        let rows: Vec<_> = arranged
            .rows
            .iter()
            .filter_map(|place| delivery.get(*place as usize))
            .collect();
        let step = Step {
            claim: &self.claim,
            from: self.held.as_ref(),
            to: checkpoint,
            token: &self.shared.token(delivery),
        };
        match self.shared.store.put(step, arranged.table, &rows).await {
            Ok(_) => Ok(true),
            Err(Failure::Other(error)) => Err(error.with("lane", &self.lane)),
            Err(_) => Ok(false),
        }
    }

    /// A row that was taken when its delivery was answered, and is refused now, cannot be told by its place any more.
    /// It stays among those that are to be written.
    fn none_late(&mut self, answered: usize) -> Result<()> {
        let mut late = None;
        for staged in self.staged.iter_mut().take(answered) {
            staged.refused.retain(|_, reason| match reason.take() {
                Some(reason) => {
                    late.get_or_insert(reason);
                    false
                }
                None => true,
            });
        }
        let Some(reason) = late else { return Ok(()) };
        let message = "a row that the database took is refused now: start again, to have it refused by name";
        let error = Error::new(ErrorKind::Rejected, "timescale.flush", message).with("lane", &self.lane);
        Err(error.with("reason", reason.message()).with_source(reason))
    }

    async fn attempt(&mut self, commit: bool) -> Result<Outcome> {
        let attempt = Attempt {
            shared: &self.shared,
            claim: &self.claim,
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
}
