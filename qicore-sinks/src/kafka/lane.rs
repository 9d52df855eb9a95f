//! One lane's writer: what is staged, and the session that writes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Lane, Receipt, Result};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::lanes::LaneWriter;

use super::rows;
use super::session::{Session, Shared, Staged};

pub(super) struct Writer {
    shared: Arc<Shared>,
    lane: Lane,
    /// In the hands of the thread that works with it.
    session: Arc<Mutex<Session>>,
    /// What waits, in order: for its refused rows to be put away, or for a checkpoint.
    staged: Vec<Staged>,
    finished: bool,
}

#[async_trait]
impl LaneWriter for Writer {
    const WRITE: &str = "kafka.write";
    const CLOSE: &str = "kafka.close";

    type Shared = Shared;

    fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            session: Arc::new(Mutex::new(Session::new(Arc::clone(&shared), lane.clone()))),
            shared,
            lane,
            staged: Vec::new(),
            finished: false,
        }
    }

    async fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        self.staged.clear();
        let held = self.blocking(|session| session.take_up()).await?;
        self.finished = held.as_ref().is_some_and(|held| held.finished);
        Ok(held)
    }

    async fn write(&mut self, delivery: &Delivery) -> Result<Receipt> {
        let token = delivery.token();
        // A caller that did not hear of the first try.
        self.staged.retain(|staged| staged.delivery.token() != token);
        if delivery.is_empty() && delivery.checkpoint.is_none() {
            return Ok(self.receipt());
        }
        let refused = rows::refused(&self.shared.routes, delivery)?;
        self.staged.push(Staged {
            delivery: delivery.clone(),
            refused: refused.keys().copied().collect(),
        });
        if self.shared.log.is_none() {
            return self.write_plain(refused).await;
        }
        let mut receipt = Receipt::staged();
        let known = !refused.is_empty();
        refused.into_iter().for_each(|(at, error)| receipt.reject(at, error));
        // What is refused must be in the dead letters before a checkpoint covers it.
        if known || delivery.checkpoint.is_none() {
            return Ok(receipt);
        }
        match self.transact(self.staged.len() - 1).await {
            Ok(found) if found.is_empty() => Ok(Receipt::durable()),
            Ok(found) => {
                found.into_iter().for_each(|(at, error)| receipt.reject(at, error));
                Ok(receipt)
            }
            Err(error) => {
                self.staged.pop();
                Err(error)
            }
        }
    }

    /// Writes what waits, with the checkpoint of the last delivery.
    async fn flush(&mut self) -> Result<()> {
        if self.staged.last().is_none_or(|last| last.delivery.checkpoint.is_none()) {
            return Ok(());
        }
        let found = self.transact(self.staged.len()).await?;
        debug_assert!(found.is_empty(), "none was answered");
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.staged.is_empty() && self.finished
    }

    fn staged(&self) -> u64 {
        self.staged.iter().map(|staged| staged.delivery.len() as u64).sum()
    }
}

impl Writer {
    fn receipt(&self) -> Receipt {
        if self.staged.is_empty() {
            Receipt::durable()
        } else {
            Receipt::staged()
        }
    }

    async fn write_plain(&mut self, mut refused: std::collections::BTreeMap<usize, Error>) -> Result<Receipt> {
        let Some(rows) = self.staged.pop() else {
            return Ok(Receipt::durable());
        };
        self.finished = rows.delivery.last;
        refused.extend(self.blocking(move |session| session.write(&rows)).await?);
        let mut receipt = Receipt::durable();
        refused.into_iter().for_each(|(at, error)| receipt.reject(at, error));
        Ok(receipt)
    }

    /// Writes what is staged in a transaction. Gives the rows that a broker refuses, by their places in the delivery that is
    /// being answered, `answering`; those of deliveries before it cannot be told any more.
    async fn transact(&mut self, answering: usize) -> Result<Vec<(usize, Error)>> {
        let Some(checkpoint) = self.staged.last().and_then(|last| last.delivery.checkpoint.clone()) else {
            return Ok(Vec::new());
        };
        let (rows, covering) = (self.staged.clone(), Arc::clone(&checkpoint));
        let refused = self.blocking(move |session| session.transact(&rows, &covering)).await?;
        if refused.is_empty() {
            self.staged.clear();
            self.finished = checkpoint.finished;
            return Ok(Vec::new());
        }
        let before: usize = self
            .staged
            .iter()
            .take(answering)
            .map(|staged| staged.delivery.len())
            .sum();
        let mut told = Vec::new();
        for (number, error) in refused {
            let Some(at) = number.checked_sub(before).filter(|_| answering < self.staged.len()) else {
                let message =
                    "a row that was taken is refused by the broker now: start again, to have it refused by name";
                let late = Error::new(ErrorKind::Rejected, "kafka.flush", message).with("lane", &self.lane);
                return Err(late.with("reason", error.message()).with_source(error));
            };
            told.push((at, error));
        }
        let places: BTreeSet<_> = told.iter().map(|(at, _)| *at).collect();
        self.staged[answering].refused.extend(places);
        Ok(told)
    }

    /// Works on a thread that may wait. If nobody waits for it any more, it goes on, and the next call waits for its end.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut session: OwnedMutexGuard<Session> = Arc::clone(&self.session).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut session)).await;
        let failed = |error| {
            Err(Error::new(
                ErrorKind::Internal,
                "kafka.write",
                format!("the work was not done: {error}"),
            ))
        };
        done.unwrap_or_else(failed)
            .map_err(|error| error.with("lane", &self.lane))
    }
}
