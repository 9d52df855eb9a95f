//! Columns that are being filled.

use qicore_data::columns::Cell;
use qicore_data::{Level, Timestamp};

use super::super::schema::Decimals;
use super::super::tables::Stored;
use super::names::{self, Names};
use super::{decimal, native};

/// 1900-01-01: the first time that `DateTime64` has. The last one, in 2262, is also the project's.
const FIRST_TIME: i64 = -2_208_988_800_000_000_000;

/// The values of one column, as the Native format has them.
pub(super) struct Column {
    stored: Stored,
    decimals: Decimals,
    values: Vec<u8>,
    /// For columns that may be null, a byte for each row.
    nulls: Vec<u8>,
    /// For texts of few kinds.
    names: Option<Names>,
    /// For levels: where each row ends, and the sizes beside the prices in `values`.
    ends: Vec<u64>,
    sizes: Vec<u8>,
}

/// Why a value cannot be in its column.
pub(super) type Unfit = &'static str;

impl Column {
    pub(super) fn new(stored: Stored, decimals: Decimals, rows: usize) -> Self {
        let width = match stored {
            Stored::Name | Stored::Levels => 0,
            Stored::Decimal | Stored::MaybeDecimal => decimals.width(),
            Stored::Time | Stored::MaybeTime | Stored::Count | Stored::MaybeCount => 8,
            Stored::Flag => 1,
            Stored::Text | Stored::Object => 12,
        };
        let nullable = matches!(stored, Stored::MaybeDecimal | Stored::MaybeTime | Stored::MaybeCount);
        Self {
            stored,
            decimals,
            values: Vec::with_capacity(width * rows),
            nulls: Vec::with_capacity(if nullable { rows } else { 0 }),
            names: (stored == Stored::Name).then(|| Names::new(rows)),
            ends: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Appends a value. One that does not fit takes its place as nought, for the row to be taken out.
    #[inline]
    pub(super) fn push(&mut self, cell: &Cell<'_>) -> Result<(), Unfit> {
        match (self.stored, cell) {
            (Stored::Decimal, Cell::Decimal(value)) => return self.decimal(*value),
            (Stored::MaybeDecimal, Cell::Decimal(value)) => {
                self.nulls.push(0);
                return self.decimal(*value);
            }
            (Stored::Time, Cell::Time(at)) => return self.time(*at),
            (Stored::MaybeTime, Cell::Time(at)) => {
                self.nulls.push(0);
                return self.time(*at);
            }
            (Stored::Count, Cell::Count(count)) => self.number(*count),
            (Stored::MaybeCount, Cell::Count(count)) => {
                self.nulls.push(0);
                self.number(*count);
            }
            (Stored::MaybeDecimal, _) => {
                self.nulls.push(1);
                decimal::push_zero(self.decimals, &mut self.values);
            }
            (Stored::MaybeTime | Stored::MaybeCount, _) => {
                self.nulls.push(1);
                self.number(0);
            }
            (Stored::Flag, Cell::Flag(flag)) => self.values.push(u8::from(*flag)),
            (Stored::Name, cell) => self.name(cell),
            (Stored::Text, cell) => self.text(cell),
            (Stored::Levels, Cell::Levels(levels)) => return self.levels(levels),
            (Stored::Object, Cell::Json(object)) => {
                // An object of JSON values can be written.
                native::text(&mut self.values, &serde_json::to_string(object).unwrap_or_default());
            }
            (Stored::Object, _) => native::text(&mut self.values, "{}"),
            // No event is without a required value.
            (Stored::Decimal, _) => decimal::push_zero(self.decimals, &mut self.values),
            (Stored::Time | Stored::Count, _) => self.number(0),
            (Stored::Flag, _) => self.values.push(0),
            (Stored::Levels, _) => self.ends.push(self.ends.last().copied().unwrap_or_default()),
        }
        Ok(())
    }

    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        native::number(&mut self.values, number);
    }

    #[inline]
    fn decimal(&mut self, value: qicore_data::Decimal) -> Result<(), Unfit> {
        if decimal::push(self.decimals, value, &mut self.values) {
            return Ok(());
        }
        decimal::push_zero(self.decimals, &mut self.values);
        Err(self.decimals.limits())
    }

    #[inline]
    fn time(&mut self, at: Timestamp) -> Result<(), Unfit> {
        if at.nanos() >= FIRST_TIME {
            self.number(at.nanos() as u64);
            return Ok(());
        }
        self.number(0);
        Err("the column takes times from 1900 on")
    }

    #[inline]
    fn name(&mut self, cell: &Cell<'_>) {
        let Some(names) = &mut self.names else { return };
        match cell {
            Cell::Text(std::borrow::Cow::Borrowed(text)) => names.push(text),
            Cell::Absent => names.push(""),
            other => {
                let mut text = String::new();
                other.push_text(&mut text);
                names.push_fleeting(&text);
            }
        }
    }

    #[inline]
    fn text(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Text(text) => native::text(&mut self.values, text),
            Cell::Digits(number) => native::text(&mut self.values, itoa::Buffer::new().format(*number)),
            _ => native::text(&mut self.values, ""),
        }
    }

    fn levels(&mut self, levels: &[Level]) -> Result<(), Unfit> {
        let mut fits = true;
        for level in levels {
            for (value, out) in [(level.price, &mut self.values), (level.size, &mut self.sizes)] {
                if !decimal::push(self.decimals, value, out) {
                    decimal::push_zero(self.decimals, out);
                    fits = false;
                }
            }
        }
        let end = self.ends.last().copied().unwrap_or_default();
        self.ends.push(end + levels.len() as u64);
        if fits { Ok(()) } else { Err(self.decimals.limits()) }
    }

    pub(super) fn size(&self) -> usize {
        let names = self.names.as_ref().map_or(0, Names::size);
        self.values.len() + self.nulls.len() + names + 8 * self.ends.len() + self.sizes.len() + 96
    }

    /// Appends the column's values to a block, behind its name and type.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(names) = &self.names {
            native::number(out, names::VERSION);
            names.write(out);
            return;
        }
        out.extend_from_slice(&self.nulls);
        out.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend_from_slice(&self.values);
        out.extend_from_slice(&self.sizes);
    }
}
