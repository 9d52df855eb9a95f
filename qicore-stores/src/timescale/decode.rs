//! Rows of the tables as events.

use std::borrow::Cow;

use qicore_data::columns::{self, Cell};
use qicore_data::{Error, Event, Level, Result, Timeframe, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::encode::{EPOCH, parts};
use super::error::mapped;
use super::numeric;
use super::select::micros_text;
use super::tables::{Stored, Table};

/// Puts an event together from a row that begins with the table's columns.
pub(super) fn event(table: &Table, row: &PgRow) -> Result<Event> {
    let mut at = 0;
    let mut column = table.columns.iter();
    let event = columns::event(table.event_type, |_| {
        let Some(column) = column.next() else {
            return Err(Error::decode("timescale.decode", "the row has too few columns"));
        };
        let bytes = field(row, at)?;
        at += 1;
        let nanos = match column.stored {
            Stored::Time => {
                at += 1;
                field(row, at - 1)?
            }
            _ => None,
        };
        let Some(bytes) = bytes else { return Ok(Cell::Absent) };
        cell(column.stored, bytes, nanos).map_err(|error| error.with("column", column.name))
    });
    event.map_err(|error| error.with("table", table.name))
}

/// The value of a column as text that PostgreSQL reads back.
pub(super) fn text_of(row: &PgRow, at: usize, name: &str) -> Result<String> {
    let bytes = field(row, at)?.unwrap_or_default();
    Ok(match Table::type_of(name) {
        "timestamptz" => match i64::from_be_bytes(fixed(bytes)?) {
            i64::MAX => "infinity".into(),
            i64::MIN => "-infinity".into(),
            micros => micros_text(i128::from(micros) + i128::from(EPOCH)),
        },
        "smallint" => i16::from_be_bytes(fixed(bytes)?).to_string(),
        "bigint" => i64::from_be_bytes(fixed(bytes)?).to_string(),
        "interval" => {
            let (micros, days, months) = interval(bytes)?;
            format!("{months} months {days} days {micros} microseconds")
        }
        "jsonb" => text(bytes.get(1..).unwrap_or_default())?.to_owned(),
        _ => text(bytes)?.to_owned(),
    })
}

fn field(row: &PgRow, at: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(at).map_err(|error| mapped("timescale.decode", error))?;
    if sqlx::ValueRef::is_null(&value) {
        return Ok(None);
    }
    let bytes = value
        .as_bytes()
        .map_err(|error| Error::decode("timescale.decode", error.to_string()))?;
    Ok(Some(bytes))
}

fn cell<'a>(stored: Stored, bytes: &'a [u8], nanos: Option<&[u8]>) -> Result<Cell<'a>> {
    let fail = |message: String| Error::decode("timescale.decode", message);
    Ok(match stored {
        Stored::Text => Cell::Text(Cow::Borrowed(text(bytes)?)),
        Stored::Interval => Cell::Text(Cow::Borrowed(timeframe(bytes)?.as_str())),
        Stored::Numeric => Cell::Decimal(numeric::read(bytes)?),
        Stored::Time | Stored::WholeTime => {
            let beyond = nanos.map(fixed::<2>).transpose()?.map_or(0, i16::from_be_bytes);
            // The microsecond of the earliest time begins before it.
            let micros = i128::from(i64::from_be_bytes(fixed(bytes)?)) + i128::from(EPOCH);
            let nanos = i64::try_from(micros * 1000 + i128::from(beyond));
            let at = nanos.map_err(|_| fail("the time is outside of the years 1677 to 2262".into()))?;
            Cell::Time(Timestamp::from_nanos(at))
        }
        Stored::Count => {
            let count = i64::from_be_bytes(fixed(bytes)?);
            Cell::Count(u64::try_from(count).map_err(|_| fail(format!("{count} is negative")))?)
        }
        Stored::Flag => Cell::Flag(bytes == [1]),
        Stored::Levels => Cell::Levels(Cow::Owned(side(bytes)?)),
        Stored::Object => match bytes {
            b"\x01{}" => Cell::Absent,
            [1, json @ ..] => {
                let object = serde_json::from_slice(json).map_err(|error| fail(error.to_string()))?;
                Cell::Json(Cow::Owned(object))
            }
            _ => return Err(fail("unknown version of jsonb".into())),
        },
    })
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| Error::decode("timescale.decode", error.to_string()))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    let wrong = |_| Error::decode("timescale.decode", format!("{} bytes instead of {N}", bytes.len()));
    bytes.try_into().map_err(wrong)
}

/// Microseconds, days and months.
fn interval(bytes: &[u8]) -> Result<(i64, i32, i32)> {
    let bytes: [u8; 16] = fixed(bytes)?;
    let (micros, days) = (fixed(&bytes[..8])?, fixed(&bytes[8..12])?);
    Ok((
        i64::from_be_bytes(micros),
        i32::from_be_bytes(days),
        i32::from_be_bytes(fixed(&bytes[12..])?),
    ))
}

fn timeframe(bytes: &[u8]) -> Result<Timeframe> {
    let found = interval(bytes)?;
    let frame = Timeframe::ALL.iter().find(|frame| parts(**frame) == found);
    frame.copied().ok_or_else(|| {
        let (micros, days, months) = found;
        let message = format!("an interval of {months} months, {days} days and {micros} microseconds is no timeframe");
        Error::decode("timescale.decode", message)
    })
}

/// One side of a book: see [`Stored::Levels`].
fn side(bytes: &[u8]) -> Result<Vec<Level>> {
    let mut rest = bytes;
    let mut take = |len: usize| {
        let (head, tail) = rest
            .split_at_checked(len)
            .ok_or_else(|| Error::decode("timescale.decode", "an array is cut short"))?;
        rest = tail;
        Ok::<_, Error>(head)
    };
    let mut number = |len| Ok::<_, Error>(u32::from_be_bytes(fixed(take(len)?)?));
    let dimensions = number(4)?;
    let (_, _) = (number(4)?, number(4)?);
    let (count, width) = match dimensions {
        0 => return Ok(Vec::new()),
        2 => {
            let (count, _, width, _) = (number(4)?, number(4)?, number(4)?, number(4)?);
            (count, width)
        }
        _ => (0, 0),
    };
    if width != 2 {
        return Err(Error::decode(
            "timescale.decode",
            "an array of levels is not one of pairs",
        ));
    }
    let mut value = || {
        let len = u32::from_be_bytes(fixed(take(4)?)?);
        numeric::read(take(len as usize)?)
    };
    (0..count)
        .map(|_| {
            Ok(Level {
                price: value()?,
                size: value()?,
            })
        })
        .collect()
}
