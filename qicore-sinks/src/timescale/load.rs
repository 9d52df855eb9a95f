//! The rows of one table in a transaction, and the ways in which they go in.

use qicore_data::{Error, Event};
use qicore_stores::timescale::Table;
use qicore_stores::timescale::write::{Arranged, Copying, Failure, Rows, Target, Transaction};

use super::habit::Habits;

/// How the rows of a table go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By one copy.
    Straight,
    /// By one copy into a staging table, and a merge.
    Merged,
    /// In runs, to find the rows that the database refuses.
    Searched,
}

/// Rows that are encoded before they are sent, so that the server has something to do while the next are.
const PIECE: usize = 512;

pub(super) struct Load<'e> {
    pub(super) table: &'static Table,
    pub(super) way: Way,
    /// Rows that no column can hold, by their places among all events that wait.
    pub(super) unfit: Vec<(u32, Error)>,
    /// Rows that were chosen over others of their key.
    pub(super) chosen: Vec<u32>,
    /// What is encoded so far.
    rows: Rows,
    /// The place of each encoded row.
    places: Vec<u32>,
    waiting: std::vec::IntoIter<u32>,
    /// Sorted by place.
    events: &'e [(u32, &'e Event)],
}

impl<'e> Load<'e> {
    pub(super) fn new(
        Arranged { table, rows, chosen }: Arranged,
        events: &'e [(u32, &'e Event)],
        habits: &Habits,
    ) -> Self {
        let merged = table.is_keyed() && habits.merges(table.event_type);
        Self {
            table,
            way: if merged { Way::Merged } else { Way::Straight },
            unfit: Vec::new(),
            chosen,
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

    /// Stages all rows and has the database take them in runs, so that it tells all those that it refuses at once.
    async fn search(
        &mut self,
        transaction: &mut Transaction<'_>,
        refused: &mut Vec<(u32, Error)>,
    ) -> Result<(), Failure> {
        self.copy(transaction.copy(self.table, Target::Staging).await?).await?;
        let found = transaction.take_each(self.table).await.map_err(Failure::Other)?;
        let named = |(row, reason): (usize, Error)| Some((*self.places.get(row)?, reason));
        refused.extend(found.into_iter().filter_map(named));
        Ok(())
    }
}
