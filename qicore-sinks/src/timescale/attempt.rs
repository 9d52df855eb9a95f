//! One try of a transaction: all that waits for a lane, and its checkpoint.

use std::ops::Range;

use qicore_data::{Checkpoint, Error, EventType, Result};
use qicore_stores::timescale::{Arranged, Failure, Moved, Rows, Transaction, arrange};

use super::Shared;
use super::lane::Staged;

/// How a try ended, if not with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is durable.
    Committed,
    /// Nothing is: rows were refused, or it was not to be.
    RolledBack,
}

/// How the rows of a table go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By one copy.
    Direct,
    /// By one copy into a staging table, and a merge.
    Merge,
    /// In pieces, to find the rows that the database refuses.
    Search,
}

pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Shared,
    /// What the database holds for the lane.
    pub(super) held: Option<&'a Checkpoint>,
    pub(super) commit: bool,
}

/// Encoded rows of one table.
struct Load {
    rows: Rows,
    /// The place of each among all events that wait.
    places: Vec<u32>,
    way: Way,
}

impl Attempt<'_> {
    /// Tries, and tries again in other ways where rows turn out to be known or refused. Refused rows are noted in
    /// `staged`, with the reason.
    pub(super) async fn run(&self, staged: &mut [Staged]) -> Result<Outcome> {
        let (mut loads, mut refused) = self.encode(staged);
        let done = loop {
            match self.transaction(staged, &mut loads, &mut refused).await? {
                Some(outcome) => break outcome,
                // Another way is set.
                None => continue,
            }
        };
        for (place, reason) in refused {
            note(staged, place as usize, reason);
        }
        Ok(done)
    }

    fn wants(&self, event_type: EventType) -> bool {
        self.shared.only.is_empty() || self.shared.only.contains(&event_type)
    }

    /// The rows of all that waits, by table, and those that no column can hold.
    fn encode(&self, staged: &[Staged]) -> (Vec<Load>, Vec<(u32, Error)>) {
        let events = staged.iter().flat_map(|staged| {
            let sound = |index: &usize| !staged.refused.contains_key(index);
            staged
                .delivery
                .iter()
                .enumerate()
                .map(move |(index, event)| sound(&index).then_some(event))
        });
        let events = (0u32..).zip(events).filter_map(|(place, event)| Some((place, event?)));
        let events = events.filter(|(_, event)| self.wants(event.event_type()));
        let (arranged, all) = (arrange(events.clone()), events.collect::<Vec<_>>());
        let mut refused = Vec::new();
        let load = |Arranged { table, rows: places }: Arranged| {
            let mut rows = Rows::new(table, places.len());
            let mut kept = Vec::with_capacity(places.len());
            for place in places {
                let Ok(at) = all.binary_search_by_key(&place, |(place, _)| *place) else {
                    continue;
                };
                match rows.push(all[at].1) {
                    Ok(()) => kept.push(place),
                    Err(reason) => refused.push((place, reason)),
                }
            }
            let merge = table.is_keyed() && self.shared.habits.merges(table.event_type);
            Load {
                rows,
                places: kept,
                way: if merge { Way::Merge } else { Way::Direct },
            }
        };
        let loads = arranged
            .into_iter()
            .map(load)
            .filter(|load| !load.rows.is_empty())
            .collect();
        (loads, refused)
    }

    /// One transaction. `None` if it was rolled back to be tried in another way.
    async fn transaction(
        &self,
        staged: &[Staged],
        loads: &mut [Load],
        refused: &mut Vec<(u32, Error)>,
    ) -> Result<Option<Outcome>> {
        let mut transaction = self.shared.store.begin().await?;
        let before = refused.len();
        if self.commit && refused.is_empty() && self.advance(&mut transaction, staged).await? == Moved::Before {
            transaction.roll_back().await?;
            return Ok(Some(Outcome::Committed));
        }
        for load in loads.iter_mut() {
            if let Some(failure) = self.load(&mut transaction, load, refused).await? {
                tracing::debug!(table = load.rows.table().name, way = ?load.way, %failure, "trying in another way");
                transaction.roll_back().await?;
                refused.truncate(before);
                return Ok(None);
            }
        }
        if !self.commit || !refused.is_empty() {
            transaction.roll_back().await?;
            return Ok(Some(Outcome::RolledBack));
        }
        transaction.commit().await?;
        for load in loads.iter().filter(|load| load.way == Way::Direct) {
            self.shared.habits.met_new_rows(load.rows.table().event_type);
        }
        Ok(Some(Outcome::Committed))
    }

    async fn advance(&self, transaction: &mut Transaction<'_>, staged: &[Staged]) -> Result<Moved> {
        let Some(last) = staged.last() else {
            return Ok(Moved::Before);
        };
        let Some(checkpoint) = &last.delivery.checkpoint else {
            return Ok(Moved::Now);
        };
        let token = format!("{}/{}", self.shared.process, last.delivery.token());
        transaction
            .advance(&self.shared.writer, self.held, checkpoint, &token)
            .await
    }

    /// Writes the rows of a table. Gives the reason where another way is to be tried.
    async fn load(
        &self,
        transaction: &mut Transaction<'_>,
        load: &mut Load,
        refused: &mut Vec<(u32, Error)>,
    ) -> Result<Option<Error>> {
        let (all, table) = (0..load.rows.len(), load.rows.table());
        let done = match load.way {
            Way::Direct => transaction.copy(&load.rows, all).await,
            Way::Merge => transaction.merge(&load.rows, all).await,
            Way::Search => {
                search(transaction, load, refused).await?;
                return Ok(None);
            }
        };
        let (way, reason) = match done {
            Ok(()) => return Ok(None),
            Err(Failure::Duplicate(reason)) if load.way == Way::Direct && table.is_keyed() => {
                self.shared.habits.met_known_rows(table.event_type);
                (Way::Merge, reason)
            }
            Err(Failure::Duplicate(reason) | Failure::Row(reason, _)) => (Way::Search, reason),
            Err(Failure::Other(error)) => return Err(error),
        };
        load.way = way;
        Ok(Some(reason))
    }
}

/// Writes all rows that the database takes, in pieces that are halved, or cut at the row that the error names, until
/// what is left is a single row that it refuses.
async fn search(transaction: &mut Transaction<'_>, load: &Load, refused: &mut Vec<(u32, Error)>) -> Result<()> {
    let keyed = load.rows.table().is_keyed();
    let mut pieces: Vec<Range<usize>> = std::iter::once(0..load.rows.len()).collect();
    while let Some(piece) = pieces.pop() {
        transaction.mark().await?;
        let done = match keyed {
            true => transaction.merge(&load.rows, piece.clone()).await,
            false => transaction.copy(&load.rows, piece.clone()).await,
        };
        let (reason, row) = match done {
            Ok(()) => {
                transaction.keep().await?;
                continue;
            }
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Row(reason, row)) => (reason, row),
            Err(Failure::Duplicate(reason)) => (reason, None),
        };
        transaction.back().await?;
        if piece.len() == 1 {
            refused.push((load.places[piece.start], reason));
            continue;
        }
        // The last one pushed is the first one tried.
        match row.map(|row| piece.start + row).filter(|row| piece.contains(row)) {
            Some(row) => pieces.extend([row + 1..piece.end, row..row + 1, piece.start..row]),
            None => {
                let middle = piece.start + piece.len() / 2;
                pieces.extend([middle..piece.end, piece.start..middle]);
            }
        }
        pieces.retain(|piece| !piece.is_empty());
    }
    Ok(())
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
