//! The statement that asks for selected rows.

use qicore_data::{Result, Timeframe, Timestamp};

use super::encode::parts;
use super::read;
use super::tables::{SEQUENCE, Table};
use crate::{Cursor, Selection};

pub(super) enum Bound {
    Text(String),
    Texts(Vec<String>),
}

/// A statement that is being put together.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) values: Vec<Bound>,
    conditions: usize,
}

impl Query {
    pub(super) fn new(target: &str, table: &Table, selection: &Selection, after: Option<&Cursor>) -> Result<Self> {
        let mut columns = table.column_names();
        if table.ordered_by().any(|name| name == SEQUENCE) {
            columns.push(SEQUENCE.into());
        }
        let mut query = Self {
            sql: format!("SELECT {} FROM {target}", columns.join(", ")),
            values: Vec::new(),
            conditions: 0,
        };
        query.one_of("symbol", selection.symbols.iter().map(|symbol| symbol.as_str()));
        query.one_of("exchange", selection.exchanges.iter().map(|exchange| exchange.as_str()));
        if let Some(timeframe) = selection.timeframe {
            query.condition(
                "timeframe = CAST(? AS interval)",
                [Bound::Text(interval_text(timeframe))],
            );
        }
        // The columns of a time with nanoseconds are compared as one.
        let nanos = table.column_names().iter().any(|name| name == "timestamp_ns");
        for (at, sign) in [(selection.from, ">="), (selection.to, "<")] {
            let Some(at) = at else { continue };
            let (micros, beyond) = split(at);
            if nanos {
                query.condition(
                    &format!("(timestamp, timestamp_ns) {sign} (CAST(? AS timestamptz), CAST(? AS smallint))"),
                    [Bound::Text(micros.clone()), Bound::Text(beyond.to_string())],
                );
            }
            // Alone it says less, but by it TimescaleDB passes over chunks.
            let sign = if sign == "<" && nanos { "<=" } else { sign };
            query.condition(
                &format!("timestamp {sign} CAST(? AS timestamptz)"),
                [Bound::Text(micros)],
            );
        }
        let order: Vec<_> = table.ordered_by().collect();
        if let Some(after) = after {
            let casts: Vec<_> = order
                .iter()
                .map(|name| format!("CAST(? AS {})", Table::type_of(name)))
                .collect();
            let condition = format!("({}) > ({})", order.join(", "), casts.join(", "));
            let values = read::values(after, table)?;
            if let Some(at) = order.iter().zip(&values).find(|(name, _)| **name == "timestamp") {
                query.condition("timestamp >= CAST(? AS timestamptz)", [Bound::Text(at.1.clone())]);
            }
            query.condition(&condition, values.into_iter().map(Bound::Text));
        }
        query.sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        Ok(query)
    }

    /// A column has one of these values, or any if there is none.
    fn one_of<'a>(&mut self, column: &str, names: impl Iterator<Item = &'a str>) {
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        match names.len() {
            0 => {}
            // An index gives the rows of one name in the order of their times, those of several sorted by name.
            1 => self.condition(&format!("{column} = ?"), names.pop().map(Bound::Text)),
            _ => self.condition(&format!("{column} = ANY (?)"), [Bound::Texts(names)]),
        }
    }

    /// Adds a condition with a `?` for each value.
    fn condition(&mut self, condition: &str, values: impl IntoIterator<Item = Bound>) {
        self.sql
            .push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        let mut pieces = condition.split('?');
        self.sql.push_str(pieces.next().unwrap_or_default());
        for (value, piece) in values.into_iter().zip(pieces) {
            // The driver states each value's type: text, which the casts make something of.
            self.values.push(value);
            self.sql.push_str(&format!("${}{piece}", self.values.len()));
        }
    }
}

/// A time as text in microseconds, and the nanoseconds beyond.
pub(super) fn split(at: Timestamp) -> (String, i64) {
    let beyond = at.nanos().rem_euclid(1000);
    (micros_text(i128::from(at.nanos().div_euclid(1000))), beyond)
}

/// Microseconds since 1970 as text that PostgreSQL reads.
pub(super) fn micros_text(micros: i128) -> String {
    const DAY: i128 = 86_400_000_000;
    // 1970-01-01 by the count of days that reaches further than the project's times.
    const JULIAN: i128 = 2_440_588;
    if let Ok(nanos) = i64::try_from(micros * 1000) {
        return Timestamp::from_nanos(nanos).to_string();
    }
    let (day, of_day) = (micros.div_euclid(DAY) + JULIAN, micros.rem_euclid(DAY));
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("J{day} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}Z")
}

/// A timeframe in PostgreSQL's notation.
pub(super) fn interval_text(timeframe: Timeframe) -> String {
    let (micros, days, months) = parts(timeframe);
    format!("{months} months {days} days {} seconds", micros / 1_000_000)
}
