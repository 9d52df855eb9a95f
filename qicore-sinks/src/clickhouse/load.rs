//! The rows of a delivery on their way into their tables.

use std::collections::VecDeque;
use std::ops::Range;

use qicore_data::{Delivery, Error, Lane, Result};
use qicore_stores::clickhouse::Table;
use qicore_stores::clickhouse::write::{Failure, Numbered, Token, encode, lane_number};

use super::Shared;

/// Where the server's memory is short for fewer rows than these, it is not for them.
const FEWEST: usize = 1000;

/// A delivery, and what is yet to be done with it. Holds no rows.
pub(super) struct Load {
    /// What tells it from all other deliveries, of other runs, too: of a live source, or after a change of the pipeline,
    /// other rows may come under the same offsets.
    token: String,
    /// The number of the first row.
    first: u64,
    lane: u64,
    pieces: VecDeque<Piece>,
    refused: Vec<(usize, Error)>,
}

/// Rows of one table: a range among those of the delivery.
struct Piece {
    table: &'static Table,
    rows: Range<usize>,
    /// Whether a row that the server refuses is looked for.
    searched: bool,
    /// Once it has been encoded; its rows are the same each time.
    token: Option<Token>,
}

impl Piece {
    /// A row that is looked at alone is another batch than the same row among those of others.
    fn name(&self) -> String {
        let alone = if self.searched { "/alone" } else { "" };
        format!("{}/{:?}{alone}", self.table.name, self.rows)
    }
}

impl Load {
    pub(super) fn new(shared: &Shared, lane: &Lane, delivery: &Delivery, token: String, first: u64) -> Self {
        let wanted = |table: &&'static Table| shared.config.wants(table.event_type);
        let pieces = Table::all().iter().filter(wanted).filter_map(|table| {
            let rows = delivery
                .iter()
                .filter(|event| event.event_type() == table.event_type)
                .count();
            (rows > 0).then_some(Piece {
                table,
                rows: 0..rows,
                searched: false,
                token: None,
            })
        });
        Self {
            token,
            first,
            lane: lane_number(&shared.writer, lane),
            pieces: pieces.collect(),
            refused: Vec::new(),
        }
    }

    /// Whether it is that of a delivery whose rows are numbered from `first` on.
    pub(super) fn is_of(&self, token: &str, first: u64) -> bool {
        self.token == token && self.first == first
    }

    /// Rows that were refused, by their places in the delivery.
    pub(super) fn take_refused(&mut self) -> Vec<(usize, Error)> {
        let mut refused = std::mem::take(&mut self.refused);
        refused.sort_unstable_by_key(|(place, _)| *place);
        refused
    }

    /// Sends what is left. After an error, or when it was given up, it can go on.
    pub(super) async fn finish(&mut self, shared: &Shared, delivery: &Delivery, most_rows: &mut usize) -> Result<()> {
        while let Some(piece) = self.pieces.front_mut() {
            if piece.rows.len() > *most_rows {
                self.cut(*most_rows, false);
                continue;
            }
            let rows = numbered(piece, delivery, self.first);
            let block = encode(piece.table, shared.store.tables().decimals, self.lane, &rows);
            let name = piece.name();
            let token = piece
                .token
                .get_or_insert_with(|| Token::new(format!("{}/{name}", self.token)));
            // Gathered with rows of others, it would be refused for theirs.
            let store = match piece.searched {
                true => shared.store.clone().asynchronous(false),
                false => shared.store.clone(),
            };
            let sent = match block.rows {
                0 => Ok(()),
                _ => store.insert(piece.table, &block, token).await,
            };
            match sent {
                Ok(()) => {
                    self.done(block.unfit);
                    // Memory may have been short for a moment.
                    *most_rows = most_rows.saturating_mul(2);
                }
                Err(Failure::Row(reason)) if block.rows == 1 && (piece.searched || !shared.config.async_insert) => {
                    let sound = |row: &&Numbered<'_>| !block.unfit.iter().any(|(place, _)| *place == row.place);
                    let alone = rows.iter().find(sound).map(|row| (row.place, reason));
                    self.done(block.unfit.into_iter().chain(alone));
                }
                Err(Failure::Row(reason)) => {
                    tracing::debug!(table = piece.table.name, rows = block.rows, %reason, "looking for the row");
                    let half = piece.rows.len().div_ceil(2);
                    self.cut(half, true);
                }
                Err(Failure::TooLarge(reason)) if piece.rows.len() > FEWEST => {
                    *most_rows = (piece.rows.len() / 2).max(FEWEST);
                    tracing::warn!(table = piece.table.name, rows = block.rows, most_rows, %reason, "smaller blocks");
                    return Err(reason);
                }
                Err(failure) => return Err(failure.into_error()),
            }
        }
        Ok(())
    }

    /// The first piece is in its table, but for these rows.
    fn done(&mut self, refused: impl IntoIterator<Item = (u32, Error)>) {
        let places = refused.into_iter().map(|(place, reason)| (place as usize, reason));
        self.refused.extend(places);
        self.pieces.pop_front();
    }

    /// Cuts the first piece into pieces of so many rows.
    fn cut(&mut self, most: usize, searched: bool) {
        let Some(piece) = self.pieces.pop_front() else { return };
        let starts: Vec<usize> = piece.rows.clone().step_by(most.max(1)).collect();
        for start in starts.into_iter().rev() {
            let rows = start..(start + most.max(1)).min(piece.rows.end);
            self.pieces.push_front(Piece {
                table: piece.table,
                rows,
                searched: piece.searched || searched,
                token: None,
            });
        }
    }
}

/// The rows of a piece.
fn numbered<'d>(piece: &Piece, delivery: &'d Delivery, first: u64) -> Vec<Numbered<'d>> {
    let events = (0..).zip(delivery.iter());
    let own = events.filter(|(_, event)| event.event_type() == piece.table.event_type);
    let rows = own.skip(piece.rows.start).take(piece.rows.len());
    let rows = rows.map(|(place, event)| Numbered {
        place,
        number: first + u64::from(place),
        event,
    });
    rows.collect()
}
