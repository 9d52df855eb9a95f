//! A delivery's events by table, in the order of their keys, each key once.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use qicore_data::{Data, Event, EventType, Exchange, Label, Symbol, Timeframe, TradeId};
use serde_json::Value;

use super::tables::Table;
use crate::groups::Groups;

/// The rows for one table: places in the delivery.
#[derive(Debug)]
pub struct Arranged {
    /// The table.
    pub table: &'static Table,
    /// Places in the delivery, in the order in which they are to be written.
    pub rows: Vec<u32>,
    /// Those of them that stand for other rows of their key, too: where one is refused the others are to be tried.
    pub chosen: Vec<u32>,
}

/// What rows of one key's beginning have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Within {
    Nothing,
    Timeframe(Timeframe),
    Name(Label),
}

/// An instrument's key has no symbol.
type Group = (Option<Symbol>, Exchange, Within);

/// Sorts events by the keys of their tables. An index takes rows in its own order at half again the speed of rows in
/// order of arrival, and writers that lock keys in one order do not deadlock. Of rows with one key only the one is kept
/// that all of them, written one after the other, would leave.
///
/// `events` are given with their places. Rows without a key keep their order within a symbol, and trades whose ids are
/// no numbers within their time: `seq` is to tell in which order they came.
pub fn arrange<'a>(events: impl Iterator<Item = (u32, &'a Event)>) -> Vec<Arranged> {
    arrange_apart(events, &HashSet::new())
}

/// Sorts as [`arrange`] does, but keeps all rows of a key, in the order in which they came, where one of them is at one
/// of the places `apart`.
pub fn arrange_apart<'a>(events: impl Iterator<Item = (u32, &'a Event)>, apart: &HashSet<u32>) -> Vec<Arranged> {
    let mut groups = Groups::default();
    let mut rows: Vec<Vec<Row<'a>>> = EventType::ALL.iter().map(|_| Vec::new()).collect();
    for (place, event) in events {
        rows[event.event_type().index()].push(Row {
            group: groups.number(group(event)),
            time: time(event),
            id: id(event),
            place,
            stands_for_others: false,
            event,
        });
    }
    let ranks = groups.ranks();
    let of_table = |table: &'static Table| {
        let mut rows = std::mem::take(&mut rows[table.event_type.index()]);
        if rows.is_empty() {
            return None;
        }
        rows.iter_mut().for_each(|row| row.group = ranks[row.group as usize]);
        if table.is_keyed() {
            rows.sort_unstable_by(|one, other| one.by_key(other).then(one.place.cmp(&other.place)));
            rows = folded(&rows, apart);
            as_they_came(&mut rows);
        } else {
            rows.sort_unstable_by_key(|row| (row.group, row.place));
        }
        let chosen = rows.iter().filter(|row| row.stands_for_others).map(|row| row.place);
        Some(Arranged {
            table,
            chosen: chosen.collect(),
            rows: rows.into_iter().map(|row| row.place).collect(),
        })
    };
    Table::all().iter().filter_map(of_table).collect()
}

#[derive(Clone, Copy)]
struct Row<'a> {
    group: u32,
    time: i64,
    id: u64,
    place: u32,
    /// Whether it was chosen over other rows of its key.
    stands_for_others: bool,
    event: &'a Event,
}

impl Row<'_> {
    /// The order of keys; equal where the keys are.
    fn by_key(&self, other: &Self) -> Ordering {
        let first = (self.group, self.time, self.id).cmp(&(other.group, other.time, other.id));
        first.then_with(|| rest(self.event).cmp(&rest(other.event)))
    }
}

fn group(event: &Event) -> Group {
    let (symbol, within) = match &event.data {
        Data::Candle(candle) => (Some(event.symbol), Within::Timeframe(candle.timeframe)),
        Data::Series(series) => (Some(event.symbol), Within::Name(series.name)),
        Data::Instrument(instrument) => (None, Within::Name(instrument.native)),
        _ => (Some(event.symbol), Within::Nothing),
    };
    (symbol, event.exchange, within)
}

/// The time as far as it is in the key: trades' keys have microseconds, those of instruments and gaps none.
fn time(event: &Event) -> i64 {
    match event.data {
        Data::Instrument(_) | Data::Gap(_) => 0,
        Data::Trade(_) => event.timestamp.nanos().div_euclid(1000),
        _ => event.timestamp.nanos(),
    }
}

fn id(event: &Event) -> u64 {
    match &event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => id,
            _ => 0,
        },
        _ => 0,
    }
}

/// What else is in the key, as text: it is asked for only where all before it is equal.
fn rest(event: &Event) -> Cow<'_, str> {
    match &event.data {
        Data::Trade(trade) => match &trade.id {
            Some(TradeId::Text(id)) => Cow::Borrowed(id),
            // A trade of this number is not one without an id, which has no number to be told apart by.
            Some(TradeId::Number(0)) => Cow::Borrowed("0"),
            _ => Cow::Borrowed(""),
        },
        Data::Series(series) => match &series.params {
            // Writing to memory cannot fail.
            Some(params) => Cow::Owned(serde_json::to_string(&comparable(params)).unwrap_or_default()),
            None => Cow::Borrowed("{}"),
        },
        Data::Gap(gap) => Cow::Owned(format!(
            "{} {:020} {:020}",
            gap.reason,
            gap.from.nanos(),
            gap.to.nanos()
        )),
        Data::Instrument(instrument) => Cow::Borrowed(instrument.kind.as_str()),
        _ => Cow::Borrowed(""),
    }
}

/// Parameters as the database compares them: by the values of numbers, however they are written.
fn comparable(params: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    fn value(given: &Value) -> Value {
        match given {
            Value::Number(number) if number.is_f64() => {
                whole(number.as_f64().unwrap_or_default()).unwrap_or(given.clone())
            }
            Value::Array(values) => values.iter().map(value).collect(),
            Value::Object(values) => Value::Object(comparable(values)),
            other => other.clone(),
        }
    }
    fn whole(number: f64) -> Option<Value> {
        // A whole number in these bounds is an integer's exact value.
        let fits = number.fract() == 0.0 && number > i64::MIN as f64 && number < i64::MAX as f64;
        fits.then(|| (number as i64).into())
    }
    let entries = params.iter().map(|(name, given)| (name.clone(), value(given)));
    entries.collect()
}

/// One of the rows of each key, but all of those whose key is to stay apart. A trade without an id is like no other.
fn folded<'a>(rows: &[Row<'a>], apart: &HashSet<u32>) -> Vec<Row<'a>> {
    let single = |event: &Event| matches!(&event.data, Data::Trade(trade) if trade.id.is_none());
    let mut kept = Vec::with_capacity(rows.len());
    for run in rows.chunk_by(|one, next| one.by_key(next) == Ordering::Equal) {
        let one = run
            .iter()
            .copied()
            .reduce(|kept, next| match supersedes(next.event, kept.event) {
                true => next,
                false => kept,
            });
        match one {
            Some(mut one)
                if run.len() > 1 && !run.iter().any(|row| single(row.event) || apart.contains(&row.place)) =>
            {
                one.stands_for_others = true;
                kept.push(one);
            }
            _ => kept.extend_from_slice(run),
        }
    }
    kept
}

/// Puts trades of one time whose ids are texts back into the order in which they came, which nothing else tells. Ids that
/// are numbers count up as the venue traded.
fn as_they_came(rows: &mut [Row<'_>]) {
    let text =
        |row: &Row<'_>| matches!(&row.event.data, Data::Trade(trade) if matches!(trade.id, Some(TradeId::Text(_))));
    for run in
        rows.chunk_by_mut(|one, next| (one.group, one.time) == (next.group, next.time) && text(one) && text(next))
    {
        if run.len() > 1 {
            run.sort_unstable_by_key(|row| row.place);
        }
    }
}

/// Whether `new` may replace `old`, which has the same key: it is not older. A closed bar replaces an open one, and never
/// the other way round; of two alike, that is newer which was received later, or else has been corrected more often.
pub(super) fn supersedes(new: &Event, old: &Event) -> bool {
    match (&new.data, &old.data) {
        (Data::Candle(bar), Data::Candle(before)) => {
            let newer = match (new.received, old.received) {
                (Some(at), Some(earlier)) => (at, bar.revision) >= (earlier, before.revision),
                _ => bar.revision >= before.revision,
            };
            match bar.closed.cmp(&before.closed) {
                Ordering::Equal => newer,
                closed => closed == Ordering::Greater,
            }
        }
        (Data::Instrument(_), Data::Instrument(_)) => new.timestamp >= old.timestamp,
        _ => match (new.received, old.received) {
            (Some(at), Some(earlier)) => at >= earlier,
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use qicore_data::{Decimal, Side, Timestamp, Trade};

    use super::*;

    fn trade(symbol: &str, time: i64, id: Option<u64>, received: i64) -> Event {
        let trade = Trade {
            id: id.map(TradeId::from),
            side: Some(Side::Buy),
            price: Decimal::ONE,
            size: Decimal::ONE,
        };
        let (exchange, symbol) = (Exchange::new("x").unwrap(), Symbol::new(symbol).unwrap());
        let mut event = Event::new(
            exchange,
            symbol,
            Timestamp::from_nanos(time),
            Label::new("t").unwrap(),
            trade,
        );
        event.received = Some(Timestamp::from_nanos(received));
        event
    }

    fn places(events: &[Event]) -> Vec<u32> {
        let arranged = arrange((0..).zip(events));
        assert_eq!(arranged.len(), 1);
        arranged.into_iter().flat_map(|arranged| arranged.rows).collect()
    }

    #[test]
    fn by_symbol_then_time_then_id() {
        let events = [
            trade("B/C", 1000, Some(1), 0),
            trade("A/C", 2000, Some(9), 0),
            trade("A/C", 2000, Some(10), 0),
            trade("A/C", 1000, Some(11), 0),
        ];
        assert_eq!(places(&events), [3, 1, 2, 0]);
    }

    #[test]
    fn of_one_key_the_newest_stays() {
        let events = [
            trade("A/C", 1, Some(1), 5),
            trade("A/C", 1, Some(1), 7),
            trade("A/C", 1, Some(1), 6),
        ];
        assert_eq!(places(&events), [1]);
    }

    #[test]
    fn ids_that_are_texts_and_times_within_a_microsecond() {
        let named = |id: &str, time| {
            let mut event = trade("A/C", time, None, time);
            if let Data::Trade(trade) = &mut event.data {
                trade.id = Some(TradeId::new(id));
            }
            event
        };
        let events = [
            named("b", 1),
            named("z", 2),
            named("b", 3),
            named("0", 4),
            named("z", 1000),
        ];
        assert_eq!(places(&events), [3, 1, 2, 4]);
    }

    #[test]
    fn trades_without_an_id_all_stay() {
        let events = [trade("A/C", 1, None, 0), trade("A/C", 1, None, 0)];
        assert_eq!(places(&events), [0, 1]);
        let pair = [trade("A/C", 1, None, 0), trade("A/C", 1, Some(0), 0)];
        assert_eq!(places(&pair), [0, 1]);
        // Beside one that has the number nought, twice.
        let nought = [0, 0].map(|received| trade("A/C", 1, Some(0), received));
        let [one, again] = nought;
        assert_eq!(
            places(&[one, trade("A/C", 1, None, 0), again, trade("A/C", 1, None, 0)]),
            [1, 3, 2]
        );
    }
}
