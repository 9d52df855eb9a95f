//! Events as blocks of ClickHouse's Native format: column by column, sorted by the table's key.
//!
//! Sorted, because the server then has nothing to sort: it takes such a block half as fast again as one in order of
//! arrival.

mod column;
mod decimal;
mod names;
mod native;
mod sort;

use bytes::Bytes;
use qicore_data::{Data, Error, ErrorKind, Event};

use super::schema::Decimals;
use super::tables::{Mark, Table};
use column::Column;
pub(super) use decimal::from_units;
use native::Parts;

/// Rows that are to be written, with what tells them apart from others.
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'a> {
    /// Its place in the delivery.
    pub place: u32,
    /// Its number in its lane.
    pub number: u64,
    /// What it says.
    pub event: &'a Event,
}

/// A block, ready to be sent.
#[derive(Debug)]
pub struct Block {
    /// In the Native format, in parts that follow each other.
    pub parts: Vec<Bytes>,
    /// How many rows it has.
    pub rows: usize,
    /// Rows that no column can hold, by their places. They are not in the block.
    pub unfit: Vec<(u32, Error)>,
}

/// Rows that are encoded together.
const TILE: usize = 256;

/// Encodes rows of one table. `lane` is a number that no other lane has.
pub fn encode(table: &Table, decimals: Decimals, lane: u64, rows: &[Numbered<'_>]) -> Block {
    let order = sort::order(table, rows);
    let (parts, unfit) = filled(table, decimals, lane, rows, &order);
    if unfit.is_empty() {
        return Block {
            parts,
            rows: rows.len(),
            unfit,
        };
    }
    let sound: Vec<u32> = order
        .into_iter()
        .filter(|at| unfit.binary_search_by_key(at, |(bad, _)| *bad).is_err())
        .collect();
    let (parts, _) = filled(table, decimals, lane, rows, &sound);
    let told = unfit.into_iter().map(|(at, error)| (rows[at as usize].place, error));
    Block {
        parts,
        rows: sound.len(),
        unfit: told.collect(),
    }
}

/// The rows in an order, and those that do not fit, by their indexes.
fn filled(
    table: &Table,
    decimals: Decimals,
    lane: u64,
    rows: &[Numbered<'_>],
    order: &[u32],
) -> (Vec<Bytes>, Vec<(u32, Error)>) {
    let layout = qicore_data::columns::columns(table.event_type);
    let new = |stored| Column::new(stored, decimals, order.len());
    let mut columns: Vec<Column> = table.columns.iter().map(|column| new(column.stored)).collect();
    let mut marks: Vec<Column> = table.marks.iter().map(|_| new(super::tables::Stored::Count)).collect();
    let mut unfit: Vec<(u32, Error)> = Vec::new();
    // Column by column, but of few rows at a time: they stay in the cache, where each is fetched once.
    for tile in order.chunks(TILE) {
        let events: Vec<&Event> = tile.iter().map(|at| rows[*at as usize].event).collect();
        for ((column, from), named) in columns.iter_mut().zip(layout).zip(&table.columns) {
            column.extend(from, &events, |at, reason| {
                unfit.push((tile[at], refused(table, named.name, &from.cell(events[at]), reason)));
            });
        }
        for (column, mark) in marks.iter_mut().zip(table.marks) {
            for at in tile {
                column.number(value(*mark, lane, &rows[*at as usize]));
            }
        }
    }
    unfit.sort_by_key(|(at, _)| *at);
    unfit.dedup_by_key(|(at, _)| *at);
    let mut out = Parts::default();
    native::length(&mut out.small, columns.len() + marks.len());
    native::length(&mut out.small, order.len());
    for (column, (name, of)) in columns
        .into_iter()
        .chain(marks)
        .zip(super::schema::types(table, decimals))
    {
        native::text(&mut out.small, name);
        native::text(&mut out.small, &of);
        column.write(&mut out);
    }
    (out.finish(), unfit)
}

fn refused(table: &Table, column: &'static str, cell: &qicore_data::columns::Cell<'_>, reason: &str) -> Error {
    let mut value = String::new();
    cell.push_text(&mut value);
    Error::new(ErrorKind::Rejected, "clickhouse.encode", reason)
        .with("table", table.name)
        .with("column", column)
        .with("value", value.chars().take(60).collect::<String>())
}

#[inline]
fn value(mark: Mark, lane: u64, row: &Numbered<'_>) -> u64 {
    match mark {
        Mark::Version => version(row.event),
        Mark::Sequence => row.number,
        Mark::Lane => lane,
        Mark::Twin => match &row.event.data {
            Data::Trade(trade) if trade.id.is_none() => twin(lane, row.number),
            _ => 0,
        },
    }
}

/// Tells trades without an id apart. Never nought, and for one lane different for every number.
fn twin(lane: u64, number: u64) -> u64 {
    let mixed = lane ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.max(1)
}

/// Which of two rows of one key stays: the one with the higher version, and of equal ones that which is written last.
///
/// A closed bar replaces an open one, never the other way round. Of two alike, that is newer which was received later;
/// rows without a time of receipt come before all others, in the order of their corrections. A version is made of the
/// event alone: rows that are written again are no newer than they were.
pub(super) fn version(event: &Event) -> u64 {
    const CLOSED: u64 = 1 << 63;
    let at = |time: qicore_data::Timestamp| time.nanos().max(0) as u64;
    match &event.data {
        Data::Instrument(_) => at(event.timestamp),
        Data::Candle(bar) => {
            let received = event.received.map_or(u64::from(bar.revision), at);
            if bar.closed { received | CLOSED } else { received }
        }
        _ => event.received.map_or(0, at),
    }
}
