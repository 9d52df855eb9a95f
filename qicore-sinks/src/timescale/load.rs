//! The rows of one table in a transaction, and the ways in which they go in.

use std::ops::Range;

use qicore_data::{Error, Event};
use qicore_stores::timescale::{Arranged, Copying, Failure, Rows, Table, Target, Transaction};

use super::habit::Habits;

/// How the rows of a table go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By one copy.
    Straight,
    /// By one copy into a staging table, and a merge.
    Merged,
    /// In pieces, to find the rows that the database refuses.
    Searched,
}

/// Rows that are encoded before they are sent, so that the server has something to do while the next are.
const PIECE: usize = 512;

pub(super) struct Load<'e> {
    pub(super) table: &'static Table,
    pub(super) way: Way,
    /// Rows that no column can hold, by their places among all events that wait.
    pub(super) unfit: Vec<(u32, Error)>,
    /// What is encoded so far.
    rows: Rows,
    /// The place of each encoded row.
    places: Vec<u32>,
    waiting: std::vec::IntoIter<u32>,
    /// Sorted by place.
    events: &'e [(u32, &'e Event)],
}

impl<'e> Load<'e> {
    pub(super) fn new(Arranged { table, rows }: Arranged, events: &'e [(u32, &'e Event)], habits: &Habits) -> Self {
        let merged = table.is_keyed() && habits.merges(table.event_type);
        Self {
            table,
            way: if merged { Way::Merged } else { Way::Straight },
            unfit: Vec::new(),
            rows: Rows::new(table, rows.len()),
            places: Vec::with_capacity(rows.len()),
            waiting: rows.into_iter(),
            events,
        }
    }

    /// Encodes some more rows. False if there are none.
    fn encode(&mut self) -> bool {
        let before = self.rows.len();
        for place in self.waiting.by_ref() {
            let Ok(at) = self.events.binary_search_by_key(&place, |(place, _)| *place) else {
                continue;
            };
            match self.rows.push(self.events[at].1) {
                Ok(()) => self.places.push(place),
                Err(reason) => self.unfit.push((place, reason)),
            }
            if self.rows.len() == before + PIECE {
                break;
            }
        }
        self.rows.len() > before
    }

    /// Writes all rows, or finds those that the database refuses.
    pub(super) async fn write(
        &mut self,
        transaction: &mut Transaction<'_>,
        refused: &mut Vec<(u32, Error)>,
    ) -> Result<(), Failure> {
        match self.way {
            Way::Straight => self.copy(transaction.copy(self.table, Target::Table).await?).await,
            Way::Merged => {
                self.copy(transaction.copy(self.table, Target::Staging).await?).await?;
                transaction.merge(self.table).await
            }
            Way::Searched => self.search(transaction, refused).await,
        }
    }

    /// What an earlier try has encoded, and what is yet to be.
    async fn copy(&mut self, mut copying: Copying<'_>) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < self.rows.len() || self.encode() {
            copying.send(&self.rows, sent..self.rows.len()).await?;
            sent = self.rows.len();
        }
        copying.finish().await
    }

    /// Writes all rows that the database takes, in pieces that are halved, or cut at the row that the error names,
    /// until what is left is a single row that it refuses.
    async fn search(
        &mut self,
        transaction: &mut Transaction<'_>,
        refused: &mut Vec<(u32, Error)>,
    ) -> Result<(), Failure> {
        while self.encode() {}
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..self.rows.len()).collect();
        while let Some(piece) = pieces.pop().filter(|piece| !piece.is_empty()) {
            transaction.mark().await.map_err(Failure::Other)?;
            let (reason, row) = match self.piece(transaction, piece.clone()).await {
                Ok(()) => {
                    transaction.keep().await.map_err(Failure::Other)?;
                    continue;
                }
                Err(Failure::Other(error)) => return Err(Failure::Other(error)),
                Err(Failure::Row(reason, row)) => (reason, row),
                Err(Failure::Duplicate(reason)) => (reason, None),
            };
            transaction.back().await.map_err(Failure::Other)?;
            if piece.len() == 1 {
                refused.push((self.places[piece.start], reason));
                continue;
            }
            // The last one pushed is the first one tried.
            let parts = match row.map(|row| piece.start + row).filter(|row| piece.contains(row)) {
                Some(row) => vec![row + 1..piece.end, row..row + 1, piece.start..row],
                None => {
                    let middle = piece.start + piece.len() / 2;
                    vec![middle..piece.end, piece.start..middle]
                }
            };
            pieces.extend(parts.into_iter().filter(|part| !part.is_empty()));
        }
        Ok(())
    }

    async fn piece(&self, transaction: &mut Transaction<'_>, piece: Range<usize>) -> Result<(), Failure> {
        let target = if self.table.is_keyed() {
            Target::Staging
        } else {
            Target::Table
        };
        let mut copying = transaction.copy(self.table, target).await?;
        copying.send(&self.rows, piece).await?;
        copying.finish().await?;
        if target == Target::Staging {
            transaction.merge(self.table).await?;
            transaction.clear_staging(self.table).await.map_err(Failure::Other)?;
        }
        Ok(())
    }
}
