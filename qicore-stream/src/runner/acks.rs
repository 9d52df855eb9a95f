//! From verdicts to commits: a lane's checkpoint is committed once everything up to it is settled, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Lineage, Verdict};
use tokio::sync::Notify;

/// What the lanes have ready for the source's task: checkpoints to commit, and the first batch that was lost.
#[derive(Debug, Default)]
pub(super) struct Commits {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The newest of each lane; older ones are superseded.
    checkpoints: BTreeMap<Lane, Arc<Checkpoint>>,
    lost: Option<Error>,
}

impl Commits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do. Cancel-safe.
    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }

    pub(super) fn take(&self) -> Vec<Arc<Checkpoint>> {
        std::mem::take(&mut self.state().checkpoints).into_values().collect()
    }

    /// The error of the first batch that was dropped without a verdict.
    pub(super) fn lost(&self) -> Option<Error> {
        self.state().lost.take()
    }
}

/// Follows the batches of one lane.
#[derive(Debug)]
pub(super) struct LaneAcks {
    lane: Lane,
    commits: Arc<Commits>,
    batches: Mutex<Batches>,
}

#[derive(Debug, Default)]
struct Batches {
    /// The number of the first batch in `waiting`.
    first: u64,
    waiting: VecDeque<Waiting>,
    /// A batch is lost, or the lane is another process's: nothing more may ever be committed.
    stuck: bool,
    /// The lane is another process's.
    given_up: bool,
}

#[derive(Debug)]
struct Waiting {
    offset: u64,
    checkpoint: Option<Arc<Checkpoint>>,
    verdict: Option<Verdict>,
}

/// More checkpoints than this do not wait for their batches: each holds the state of all transforms.
const MOST_CHECKPOINTS: usize = 8;

impl Batches {
    /// Gives up every second checkpoint once there are many. A sink that stages rows for an hour settles an hour of
    /// batches at once, and only the newest of their checkpoints is committed.
    fn thin(&mut self) {
        let held = self.waiting.iter_mut().filter(|batch| batch.checkpoint.is_some());
        let held: Vec<_> = held.collect();
        if held.len() >= MOST_CHECKPOINTS {
            held.into_iter()
                .rev()
                .skip(1)
                .step_by(2)
                .for_each(|batch| batch.checkpoint = None);
        }
    }
}

impl LaneAcks {
    pub(super) fn new(lane: Lane, commits: Arc<Commits>) -> Arc<Self> {
        Arc::new(Self {
            lane,
            commits,
            batches: Mutex::default(),
        })
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the lane's next batch, which ends at `offset`; `checkpoint` is committed when it and all before it
    /// are settled.
    pub(super) fn track(self: &Arc<Self>, offset: u64, checkpoint: Option<Arc<Checkpoint>>) -> Lineage {
        let mut batches = self.batches();
        if checkpoint.is_some() {
            batches.thin();
        }
        let number = batches.first + batches.waiting.len() as u64;
        batches.waiting.push_back(Waiting {
            offset,
            checkpoint,
            verdict: None,
        });
        let this = Arc::clone(self);
        Lineage::new(move |verdict| this.settled(number, verdict))
    }

    fn settled(&self, number: u64, verdict: Verdict) {
        let mut batches = self.batches();
        let index = (number - batches.first) as usize;
        if let Some(batch) = batches.waiting.get_mut(index) {
            batch.verdict = Some(verdict);
        }
        let mut newest = None;
        while !batches.stuck {
            let Some(Waiting {
                verdict: Some(verdict),
                offset,
                ..
            }) = batches.waiting.front()
            else {
                break;
            };
            if *verdict == Verdict::Abandoned {
                let offset = *offset;
                batches.stuck = true;
                self.lost(offset);
                break;
            }
            batches.first += 1;
            let batch = batches.waiting.pop_front();
            newest = batch.and_then(|batch| batch.checkpoint).or(newest);
        }
        drop(batches);
        if let Some(checkpoint) = newest {
            self.commits.state().checkpoints.insert(self.lane.clone(), checkpoint);
            self.commits.ready.notify_one();
        }
    }

    /// The lane is another process's now: what is not settled is for that one to write and to commit.
    pub(super) fn give_up(&self) {
        let mut batches = self.batches();
        batches.stuck = true;
        batches.given_up = true;
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.batches().given_up
    }

    fn lost(&self, offset: u64) {
        let message = "a batch was dropped without a verdict; it is read again at the next start";
        let error = Error::new(ErrorKind::Abandoned, "pipeline", message);
        let error = error.with("lane", &self.lane).with("offset", offset);
        self.commits.state().lost.get_or_insert(error);
        self.commits.ready.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use qicore_data::Position;

    fn acks() -> (Arc<LaneAcks>, Arc<Commits>) {
        let commits = Arc::new(Commits::default());
        (LaneAcks::new(Lane::new("l"), Arc::clone(&commits)), commits)
    }

    fn checkpoint(offset: u64) -> Arc<Checkpoint> {
        Arc::new(Checkpoint::new(Lane::new("l"), Position::at(offset)))
    }

    fn committed(commits: &Commits) -> Option<u64> {
        commits.take().pop().map(|checkpoint| checkpoint.position.offset)
    }

    #[test]
    fn an_hour_of_checkpoints_is_not_held() {
        let (acks, commits) = acks();
        let open: Vec<_> = (0..3600)
            .map(|offset| acks.track(offset, Some(checkpoint(offset))))
            .collect();
        let held = acks
            .batches()
            .waiting
            .iter()
            .filter(|batch| batch.checkpoint.is_some())
            .count();
        assert!(held <= MOST_CHECKPOINTS, "{held}");
        open.into_iter().for_each(|lineage| lineage.settle(Verdict::Delivered));
        assert_eq!(committed(&commits), Some(3599), "the newest counts");
    }

    proptest! {
        /// Whatever the order in which batches settle: what is committed is the newest checkpoint before the first
        /// batch that is not settled.
        #[test]
        fn commits_in_order(len in 1usize..40, checkpoints in prop::collection::btree_set(0usize..40, 0..MOST_CHECKPOINTS), order in any::<u64>(), lost in prop::option::of(0usize..40)) {
            let (acks, commits) = acks();
            let with_checkpoint: Vec<_> = (0..len).map(|at| checkpoints.contains(&at)).collect();
            let mut open: Vec<_> = with_checkpoint.iter().enumerate().map(|(offset, checkpointed)| {
                let offset = offset as u64;
                Some(acks.track(offset, checkpointed.then(|| checkpoint(offset))))
            }).collect();
            let mut seed = order;
            let mut settled = vec![false; open.len()];
            let mut newest = None;
            for _ in 0..open.len() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let pick = (seed >> 33) as usize % settled.iter().filter(|done| !**done).count();
                let at = settled.iter().enumerate().filter(|(_, done)| !**done).nth(pick).unwrap().0;
                let verdict = if lost == Some(at) { Verdict::Abandoned } else { Verdict::Delivered };
                open[at].take().unwrap().settle(verdict);
                settled[at] = true;
                newest = committed(&commits).or(newest);
                let done = settled.iter().enumerate().take_while(|(at, done)| **done && lost != Some(*at)).count();
                let expected = (0..done).rev().find(|at| with_checkpoint[*at]).map(|at| at as u64);
                prop_assert_eq!(newest, expected);
            }
            prop_assert_eq!(commits.lost().is_some(), lost.is_some_and(|at| at < settled.len()));
        }
    }
}
