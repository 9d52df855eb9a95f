//! Rows in PostgreSQL's binary copy format.

use qicore_data::columns::{self, Cell, Column};
use qicore_data::{Error, ErrorKind, Event, Level, Result, Timeframe, Timestamp};

use super::numeric;
use super::tables::{Stored, Table};

/// What every binary copy begins with: its signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with: a row of -1 fields.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();
/// 2000-01-01 in microseconds since 1970, where PostgreSQL counts from.
pub(super) const EPOCH: i64 = 946_684_800_000_000;
const ABSENT: [u8; 4] = (-1i32).to_be_bytes();
const NUMERIC_OID: u32 = 1700;

/// Encoded rows of one table, of which any range can be sent.
#[derive(Debug)]
pub struct Rows {
    table: &'static Table,
    layout: &'static [Column],
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<usize>,
}

impl Rows {
    /// No rows yet, with room for so many.
    pub fn new(table: &'static Table, rows: usize) -> Self {
        Self {
            table,
            layout: columns::columns(table.event_type),
            bytes: Vec::with_capacity(rows * 24 * table.columns.len() / 2),
            starts: Vec::with_capacity(rows),
        }
    }

    /// Their table.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Appends an event of the table's kind.
    ///
    /// # Errors
    /// [`Rejected`](ErrorKind::Rejected) where a column cannot hold a value exactly; then nothing is appended.
    pub fn push(&mut self, event: &Event) -> Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.table.fields.to_be_bytes());
        for column in &self.table.columns {
            let cell = self.layout[column.cell].cell(event);
            if let Err(message) = field(column.stored, cell, &mut self.bytes) {
                self.bytes.truncate(start);
                let error = Error::new(ErrorKind::Rejected, "timescale.encode", message);
                return Err(error.with("table", self.table.name).with("column", column.name));
            }
        }
        self.starts.push(start);
        Ok(())
    }

    /// A copy of no rows.
    pub(super) const EMPTY: [&'static [u8]; 3] = [HEADER, &[], &TRAILER];

    /// The rows of a range as the pieces of one copy: header, rows, trailer.
    pub fn copy(&self, range: std::ops::Range<usize>) -> [&[u8]; 3] {
        let at = |row: usize| self.starts.get(row).copied().unwrap_or(self.bytes.len());
        [HEADER, &self.bytes[at(range.start)..at(range.end)], &TRAILER]
    }
}

fn field(stored: Stored, cell: Cell<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    match (stored, cell) {
        (Stored::Time, Cell::Absent) => {
            out.extend_from_slice(&ABSENT);
            out.extend_from_slice(&ABSENT);
        }
        (Stored::Object, Cell::Absent) => sized(out, |out| out.extend_from_slice(b"\x01{}")),
        (_, Cell::Absent) => out.extend_from_slice(&ABSENT),
        (Stored::Interval, Cell::Text(text)) => return interval(&text, out),
        (Stored::Text, Cell::Text(text)) => return self::text(&text, out),
        (Stored::Text, Cell::Digits(number)) => {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(number).as_bytes();
            sized(out, |out| out.extend_from_slice(digits));
        }
        (Stored::Numeric, Cell::Decimal(value)) => sized(out, |out| numeric::push(value, out)),
        (Stored::Time, Cell::Time(at)) => {
            fixed(out, micros(at).to_be_bytes());
            fixed(out, (at.nanos().rem_euclid(1000) as i16).to_be_bytes());
        }
        (Stored::WholeTime, Cell::Time(at)) => {
            if at.nanos().rem_euclid(1000) != 0 {
                return Err(format!("{at} is not a whole number of microseconds"));
            }
            fixed(out, micros(at).to_be_bytes());
        }
        (Stored::Count, Cell::Count(count)) => {
            let count = i64::try_from(count).map_err(|_| format!("{count} is more than a bigint holds"))?;
            fixed(out, count.to_be_bytes());
        }
        (Stored::Flag, Cell::Flag(flag)) => fixed(out, [u8::from(flag)]),
        (Stored::Levels, Cell::Levels(levels)) => sized(out, |out| side(&levels, out)),
        (Stored::Object, Cell::Json(object)) => {
            let text = serde_json::to_string(&*object).map_err(|error| error.to_string())?;
            sized(out, |out| {
                out.push(1);
                out.extend_from_slice(text.as_bytes());
            });
        }
        (stored, cell) => return Err(format!("{cell:?} is no {stored:?}")),
    }
    Ok(())
}

/// Microseconds since 2000, as PostgreSQL counts.
fn micros(at: Timestamp) -> i64 {
    at.nanos().div_euclid(1000) - EPOCH
}

fn fixed<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// Appends what `fill` appends, with its length before it.
fn sized(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let len = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    if text.as_bytes().contains(&0) {
        return Err("a text cannot hold the character NUL".into());
    }
    sized(out, |out| out.extend_from_slice(text.as_bytes()));
    Ok(())
}

fn interval(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let timeframe: Timeframe = text.parse().map_err(|error| format!("{error}"))?;
    let (micros, days, months) = parts(timeframe);
    sized(out, |out| {
        out.extend_from_slice(&micros.to_be_bytes());
        out.extend_from_slice(&days.to_be_bytes());
        out.extend_from_slice(&months.to_be_bytes());
    });
    Ok(())
}

/// A timeframe as an interval: microseconds, days, months. Days and months are calendar lengths of their own.
pub(super) fn parts(timeframe: Timeframe) -> (i64, i32, i32) {
    const SECOND: i64 = 1_000_000;
    let text = timeframe.as_str();
    let (number, unit) = text.split_at(text.len() - 1);
    let number: i32 = number.parse().unwrap_or_default();
    let seconds = |length: i64| (i64::from(number) * length * SECOND, 0, 0);
    match unit {
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => (0, number, 0),
        "w" => (0, 7 * number, 0),
        _ => (0, 0, number),
    }
}

/// A two-dimensional `numeric[]`; an empty side is the array without dimensions.
fn side(levels: &[Level], out: &mut Vec<u8>) {
    let dimensions: &[u32] = if levels.is_empty() {
        &[]
    } else {
        &[levels.len() as u32, 2]
    };
    for head in [dimensions.len() as u32, 0, NUMERIC_OID] {
        out.extend_from_slice(&head.to_be_bytes());
    }
    for length in dimensions {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&1u32.to_be_bytes());
    }
    for value in levels.iter().flat_map(|level| [level.price, level.size]) {
        sized(out, |out| numeric::push(value, out));
    }
}
