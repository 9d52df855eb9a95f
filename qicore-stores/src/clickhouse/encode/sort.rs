//! The order of a table's key.

use qicore_data::{Data, Event, Exchange, GapReason, Label, Symbol, Timeframe, TradeId};

use super::Numbered;
use crate::clickhouse::tables::Table;
use crate::groups::Groups;

/// A name, or a word by its place among the words of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Within {
    Nothing,
    Name(Label),
    Timeframe(Timeframe),
    Reason(GapReason),
}

/// What the keys of many rows begin with, and what follows the symbol and the venue where it is a name.
type Group = (Option<Symbol>, Exchange, Within);

/// The rows' indexes in the order of the table's key; rows of one key in the order in which they came.
///
/// By counting, as there are few groups and the rows of each mostly come in the order of their times already.
pub(super) fn order(table: &Table, rows: &[Numbered<'_>]) -> Vec<u32> {
    let mut groups = Groups::default();
    let numbers: Vec<u32> = rows.iter().map(|row| groups.number(group(row.event))).collect();
    let ranks = groups.ranks();
    let mut ends = vec![0_u32; ranks.len() + 1];
    numbers
        .iter()
        .for_each(|number| ends[ranks[*number as usize] as usize + 1] += 1);
    for rank in 1..ends.len() {
        ends[rank] += ends[rank - 1];
    }
    let starts = ends.clone();
    let mut order = vec![0_u32; rows.len()];
    for (at, number) in (0..).zip(&numbers) {
        let next = &mut ends[ranks[*number as usize] as usize];
        order[*next as usize] = at;
        *next += 1;
    }
    for (from, to) in starts.iter().zip(&starts[1..]) {
        within(table, rows, &mut order[*from as usize..*to as usize]);
    }
    order
}

/// The rows of one group, by time and what is behind it in the key.
fn within(table: &Table, rows: &[Numbered<'_>], order: &mut [u32]) {
    let of = |at: &u32| rows[*at as usize].event;
    if !order.is_sorted_by_key(|at| time(of(at))) {
        order.sort_by_key(|at| time(of(at)));
    }
    if table.key.contains(&"id") {
        for run in order.chunk_by_mut(|one, next| time(of(one)) == time(of(next))) {
            if run.len() > 1 {
                run.sort_by_cached_key(|at| id(of(at)));
            }
        }
    }
}

fn group(event: &Event) -> Group {
    let (symbol, within) = match &event.data {
        Data::Candle(candle) => (Some(event.symbol), Within::Timeframe(candle.timeframe)),
        Data::Series(series) => (Some(event.symbol), Within::Name(series.name)),
        Data::Gap(gap) => (Some(event.symbol), Within::Reason(gap.reason)),
        Data::Instrument(instrument) => (None, Within::Name(instrument.native)),
        _ => (Some(event.symbol), Within::Nothing),
    };
    (symbol, event.exchange, within)
}

#[inline]
fn time(event: &Event) -> i64 {
    match &event.data {
        Data::Gap(gap) => gap.from.nanos(),
        _ => event.timestamp.nanos(),
    }
}

/// Ids are compared as texts, also those that are numbers.
fn id(event: &Event) -> String {
    match &event.data {
        Data::Trade(trade) => trade.id.as_ref().map_or(String::new(), TradeId::to_string),
        _ => String::new(),
    }
}
