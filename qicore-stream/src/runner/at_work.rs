//! Which tasks work on each lane, from its first batch until all that it had is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qicore_data::Lane;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::acks::LaneAcks;

/// The lanes whose tasks may still be at work.
#[derive(Default)]
pub(super) struct AtWork {
    lanes: HashMap<Lane, Work>,
}

pub(super) struct Work {
    pub(super) tasks: Vec<AbortHandle>,
    acks: Arc<LaneAcks>,
    given_up: bool,
}

impl Work {
    pub(super) fn is_over(&self) -> bool {
        self.tasks.iter().all(AbortHandle::is_finished)
    }
}

impl AtWork {
    pub(super) fn begin(&mut self, lane: Lane, tasks: Vec<AbortHandle>, acks: Arc<LaneAcks>) {
        let work = Work {
            tasks,
            acks,
            given_up: false,
        };
        self.lanes.insert(lane, work);
    }

    pub(super) fn get(&self, lane: &Lane) -> Option<&Work> {
        self.lanes.get(lane)
    }

    pub(super) fn remove(&mut self, lane: &Lane) {
        self.lanes.remove(lane);
    }

    /// Forgets lanes that `is_open` does not want kept, once their tasks are through.
    pub(super) fn tidy(&mut self, is_open: impl Fn(&Lane) -> bool) {
        self.lanes.retain(|lane, work| is_open(lane) || !work.is_over());
    }

    /// Another process has the lane: whatever is at work on it ends, and what it had is nobody's concern here.
    pub(super) fn give_up(&mut self, lane: &Lane) {
        if let Some(work) = self.lanes.get_mut(lane) {
            work.given_up = true;
            work.acks.give_up();
            work.tasks.iter().for_each(AbortHandle::abort);
        }
    }

    /// Whether one of the lane's tasks has found out that another process has it. That one says so when it has ended; others may
    /// end before, for want of it.
    pub(super) fn is_fenced(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(|work| work.acks.is_given_up())
    }

    pub(super) fn is_given_up(&self, lane: &Lane) -> bool {
        self.lanes.get(lane).is_some_and(|work| work.given_up)
    }
}

/// Counts the tasks of each lane, for those who are not to look at its checkpoint before the last has ended.
#[derive(Debug, Default)]
pub(super) struct Busy {
    tasks: Mutex<HashMap<Lane, usize>>,
    less: Notify,
}

impl Busy {
    fn tasks(&self) -> MutexGuard<'_, HashMap<Lane, usize>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a lane as worked on until the mark is dropped.
    pub(super) fn mark(self: &Arc<Self>, lane: &Lane) -> Mark {
        *self.tasks().entry(lane.clone()).or_default() += 1;
        Mark {
            busy: Arc::clone(self),
            lane: lane.clone(),
        }
    }

    /// Waits until nothing works on a lane. Cancel-safe.
    pub(super) async fn free(&self, lane: &Lane) {
        loop {
            let mut less = std::pin::pin!(self.less.notified());
            less.as_mut().enable();
            if !self.tasks().contains_key(lane) {
                return;
            }
            less.await;
        }
    }
}

/// Something works on a lane.
#[derive(Debug)]
pub(super) struct Mark {
    busy: Arc<Busy>,
    lane: Lane,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut tasks = self.busy.tasks();
        if let Some(count) = tasks.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                tasks.remove(&self.lane);
                self.busy.less.notify_waiters();
            }
        }
    }
}
