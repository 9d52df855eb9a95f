//! One try of a transaction: all that waits for a lane, and its checkpoint.

use std::collections::HashSet;

use qicore_data::{Checkpoint, Error, Event, Result};
use qicore_stores::timescale::write::{Claim, Failure, Moved, Step, Transaction, arrange, arrange_apart};

use super::Shared;
use super::lane::Staged;
use super::load::{Load, Way};

/// How a try ended, if not with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is durable.
    Committed,
    /// Nothing is: rows were refused, or it was not to be.
    RolledBack,
}

pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Shared,
    pub(super) claim: &'a Claim,
    /// What the database holds for the lane.
    pub(super) held: Option<&'a Checkpoint>,
    pub(super) commit: bool,
}

impl Attempt<'_> {
    /// Tries, and tries again in other ways where rows turn out to be known or refused. Refused rows are noted in
    /// `staged`, with the reason.
    pub(super) async fn run(&self, staged: &mut [Staged]) -> Result<Outcome> {
        let events = self.events(staged);
        let new = |arranged| Load::new(arranged, &events, &self.shared.habits);
        let mut loads: Vec<_> = arrange(events.iter().copied()).into_iter().map(new).collect();
        let (mut done, mut refused) = self.settle(staged, &mut loads).await?;
        let places: HashSet<u32> = refused.iter().map(|(place, _)| *place).collect();
        let chosen = loads.iter().flat_map(|load| load.chosen.iter().copied());
        let apart: HashSet<u32> = chosen.filter(|place| places.contains(place)).collect();
        drop(loads);
        if !apart.is_empty() {
            // A refused row stood for others of its key, which are to be refused as well, or written in its place.
            let apart = arrange_apart(events.iter().copied(), &apart);
            let mut loads: Vec<_> = apart.into_iter().map(new).collect();
            loads.iter_mut().for_each(|load| load.way = Way::Searched);
            (done, refused) = self.settle(staged, &mut loads).await?;
        }
        for (place, reason) in refused {
            note(staged, place as usize, reason);
        }
        Ok(done)
    }

    /// Goes through the ways in which the rows of a table can be written until a transaction is through: each failure
    /// leaves one way less. Gives the rows that are refused.
    async fn settle(&self, staged: &[Staged], loads: &mut [Load<'_>]) -> Result<(Outcome, Vec<(u32, Error)>)> {
        loop {
            if let Some(settled) = self.transaction(staged.last(), loads).await? {
                return Ok(settled);
            }
        }
    }

    /// All events that wait and are to be written, with their places.
    fn events<'s>(&self, staged: &'s [Staged]) -> Vec<(u32, &'s Event)> {
        let of = |staged: &'s Staged| {
            let rows = staged.delivery.iter().enumerate();
            rows.map(|(index, event)| (!staged.refused.contains_key(&index)).then_some(event))
        };
        let places = (0..).zip(staged.iter().flat_map(of));
        let sound = places.filter_map(|(place, event)| Some((place, event?)));
        sound
            .filter(|(_, event)| self.shared.wants(event.event_type()))
            .collect()
    }

    /// One transaction, and the rows that are refused. `None` if it was rolled back to be tried in another way.
    async fn transaction(
        &self,
        last: Option<&Staged>,
        loads: &mut [Load<'_>],
    ) -> Result<Option<(Outcome, Vec<(u32, Error)>)>> {
        let mut transaction = self.shared.store.begin().await?;
        if self.commit && self.advance(&mut transaction, last).await? == Moved::Before {
            transaction.roll_back().await?;
            return Ok(Some((Outcome::Committed, Vec::new())));
        }
        let mut refused = Vec::new();
        for load in loads.iter_mut() {
            match load.write(&mut transaction, &mut refused).await {
                Ok(()) => {}
                Err(Failure::Other(error)) => return Err(error),
                // There is no other way left: whatever it is, it is not for a row.
                Err(failure) if load.way == Way::Searched => return Err(failure.into_error()),
                Err(failure) => {
                    self.another_way(load, failure);
                    transaction.roll_back().await?;
                    return Ok(None);
                }
            }
        }
        refused.extend(loads.iter_mut().flat_map(|load| load.unfit.drain(..)));
        if !self.commit || !refused.is_empty() {
            transaction.roll_back().await?;
            return Ok(Some((Outcome::RolledBack, refused)));
        }
        transaction.commit().await?;
        for load in loads.iter().filter(|load| load.way == Way::Straight) {
            self.shared.habits.met_new_rows(load.table.event_type);
        }
        Ok(Some((Outcome::Committed, refused)))
    }

    async fn advance(&self, transaction: &mut Transaction<'_>, last: Option<&Staged>) -> Result<Moved> {
        let Some((delivery, checkpoint)) =
            last.and_then(|last| Some((&last.delivery, last.delivery.checkpoint.as_ref()?)))
        else {
            return Ok(Moved::Now);
        };
        let step = Step {
            claim: self.claim,
            from: self.held,
            to: checkpoint,
            token: &self.shared.token(delivery),
        };
        transaction.advance(step).await
    }

    /// Rows that are there already are merged, and rows that are refused are searched for.
    fn another_way(&self, load: &mut Load<'_>, failure: Failure) {
        let known = matches!(failure, Failure::Duplicate(_)) && load.way == Way::Straight && load.table.is_keyed();
        if known {
            self.shared.habits.met_known_rows(load.table.event_type);
        }
        load.way = if known { Way::Merged } else { Way::Searched };
        let reason = failure.into_error();
        tracing::debug!(table = load.table.name, way = ?load.way, %reason, "rows are written in another way");
    }
}

/// Notes a refused row with its delivery.
fn note(staged: &mut [Staged], mut place: usize, reason: Error) {
    for staged in staged {
        if place < staged.delivery.len() {
            staged.refused.insert(place, Some(reason));
            return;
        }
        place -= staged.delivery.len();
    }
}
