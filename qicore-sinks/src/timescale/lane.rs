//! One lane's writer: what is stored for it, and what waits for a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, Result, RetryAdvice};

use qicore_stores::timescale::write::{Failure, Step, arrange};

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

pub(super) struct LaneWriter {
    shared: Arc<Shared>,
    lane: Lane,
    /// What the database holds for the lane.
    held: Option<Checkpoint>,
    /// Whether it was asked, which makes the lane this writer's.
    taken: bool,
    /// What waits, in order: for its refused rows to be put away, or for a checkpoint.
    staged: Vec<Staged>,
}

impl LaneWriter {
    pub(super) fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            shared,
            lane,
            held: None,
            taken: false,
            staged: Vec::new(),
        }
    }

    /// Makes the lane this writer's. Gives what the database holds for it.
    pub(super) async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        self.staged.clear();
        self.held = self.shared.store.take_up(&self.shared.claim, &self.lane).await?;
        self.taken = true;
        Ok(self.held.clone())
    }

    /// For callers that have not asked for the checkpoint: there is to be none.
    async fn begin(&mut self) -> Result<()> {
        if self.taken || self.take_up().await?.is_none() {
            return Ok(());
        }
        self.taken = false;
        let message = "the lane has a stored checkpoint, which was not asked for: its rows would be written again";
        Err(Error::new(ErrorKind::Checkpoint, "timescale.write", message)
            .with_retry(RetryAdvice::Never)
            .with("lane", &self.lane))
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
        self.begin().await?;
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
            claim: &self.shared.claim,
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

    /// Commits what waits, with the checkpoint of the last delivery.
    pub(super) async fn flush(&mut self) -> Result<()> {
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
