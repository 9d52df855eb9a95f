//! Columns that are being filled.

use qicore_data::columns::{self, Cell};
use qicore_data::{Decimal, Event, Level};

use super::super::schema::Decimals;
use super::super::tables::Stored;
use super::names::Names;
use super::native::Parts;
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
    nullable: bool,
    /// For texts of few kinds.
    names: Option<Names>,
    /// Where the last word lies, and its number.
    last_word: Option<((usize, usize), u8)>,
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
            Stored::Flag | Stored::Word(_) => 1,
            Stored::Text | Stored::Object => 12,
        };
        let nullable = matches!(stored, Stored::MaybeDecimal | Stored::MaybeTime | Stored::MaybeCount);
        Self {
            stored,
            decimals,
            values: Vec::with_capacity(width * rows),
            nulls: Vec::with_capacity(if nullable { rows } else { 0 }),
            nullable,
            last_word: None,
            names: (stored == Stored::Name).then(|| Names::new(rows)),
            ends: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Appends the values of some events. One that does not fit takes its place as nought, for the row to be taken out,
    /// and is told by the event's place among them.
    pub(super) fn extend(&mut self, from: &columns::Column, events: &[&Event], unfit: impl FnMut(usize, Unfit)) {
        let cells = events.iter().map(|event| from.cell(event));
        let texts = events.iter().map(|event| from.text(event));
        let decimals = events.iter().map(|event| from.decimal(event));
        match self.stored {
            Stored::Name => texts.zip(events).for_each(|(text, event)| match text {
                Some(text) => self.name(text),
                None => self.fleeting_name(&from.cell(event)),
            }),
            Stored::Word(words) => self.each(texts, |column, text| column.word(words, text), unfit),
            Stored::Text => cells.for_each(|cell| self.text(&cell)),
            Stored::Decimal | Stored::MaybeDecimal => self.each(decimals, Self::decimal, unfit),
            Stored::Time | Stored::MaybeTime => self.each(cells, |column, cell| column.time(&cell), unfit),
            Stored::Count | Stored::MaybeCount => cells.for_each(|cell| self.count(&cell)),
            Stored::Flag => cells.for_each(|cell| self.values.push(u8::from(matches!(cell, Cell::Flag(true))))),
            Stored::Levels => self.each(cells, |column, cell| column.levels(&cell), unfit),
            Stored::Object => cells.for_each(|cell| self.object(&cell)),
        }
    }

    /// Appends values that may not fit.
    #[inline]
    fn each<T>(
        &mut self,
        values: impl Iterator<Item = T>,
        push: impl Fn(&mut Self, T) -> Result<(), Unfit>,
        mut unfit: impl FnMut(usize, Unfit),
    ) {
        for (at, value) in values.enumerate() {
            if let Err(reason) = push(self, value) {
                unfit(at, reason);
            }
        }
    }

    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        native::number(&mut self.values, number);
    }

    /// Notes whether there is a value, where there may be none.
    #[inline]
    fn null(&mut self, null: bool) {
        if self.nullable {
            self.nulls.push(u8::from(null));
        }
    }

    #[inline]
    fn decimal(&mut self, value: Option<&Decimal>) -> Result<(), Unfit> {
        self.null(value.is_none());
        let Some(value) = value else {
            decimal::push_zero(self.decimals, &mut self.values);
            return Ok(());
        };
        if decimal::push(self.decimals, *value, &mut self.values) {
            return Ok(());
        }
        decimal::push_zero(self.decimals, &mut self.values);
        Err(self.decimals.limits())
    }

    #[inline]
    fn time(&mut self, cell: &Cell<'_>) -> Result<(), Unfit> {
        self.null(matches!(cell, Cell::Absent));
        match cell {
            Cell::Time(at) if at.nanos() >= FIRST_TIME => self.number(at.nanos() as u64),
            Cell::Time(_) => {
                self.number(0);
                return Err("the column takes times from 1900 on");
            }
            _ => self.number(0),
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self, cell: &Cell<'_>) {
        self.null(matches!(cell, Cell::Absent));
        self.number(match cell {
            Cell::Count(count) => *count,
            _ => 0,
        });
    }

    #[inline]
    fn name(&mut self, text: &str) {
        if let Some(names) = &mut self.names {
            names.push(text);
        }
    }

    /// A name that is made for the moment.
    #[cold]
    fn fleeting_name(&mut self, cell: &Cell<'_>) {
        let mut text = String::new();
        cell.push_text(&mut text);
        if let Some(names) = &mut self.names {
            names.push_fleeting(&text);
        }
    }

    /// A word lies in the program or in its table of names, and so nowhere else while the column is filled.
    #[inline]
    fn word(&mut self, words: &[&str], text: Option<&str>) -> Result<(), Unfit> {
        let text = text.unwrap_or_default();
        let at = (text.as_ptr() as usize, text.len());
        if let Some((_, number)) = self.last_word.filter(|(known, _)| *known == at) {
            self.values.push(number);
            return Ok(());
        }
        let place = words.iter().position(|word| *word == text);
        let number = place.map_or(0, |place| place as u8 + 1);
        self.values.push(number);
        if place.is_none() && !text.is_empty() {
            return Err("the column has no such word");
        }
        self.last_word = Some((at, number));
        Ok(())
    }

    #[inline]
    fn text(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Text(text) => native::text(&mut self.values, text),
            Cell::Digits(number) => native::text(&mut self.values, itoa::Buffer::new().format(*number)),
            _ => native::text(&mut self.values, ""),
        }
    }

    fn object(&mut self, cell: &Cell<'_>) {
        match cell {
            // An object of JSON values can be written.
            Cell::Json(object) => native::text(&mut self.values, &serde_json::to_string(object).unwrap_or_default()),
            _ => native::text(&mut self.values, "{}"),
        }
    }

    fn levels(&mut self, cell: &Cell<'_>) -> Result<(), Unfit> {
        let levels: &[Level] = match cell {
            Cell::Levels(levels) => levels,
            _ => &[],
        };
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

    /// Puts the column's values into a block, behind its name and type.
    pub(super) fn write(self, out: &mut Parts) {
        if let Some(names) = self.names {
            names.write(out);
            return;
        }
        out.push(self.nulls);
        out.push(self.ends.iter().flat_map(|end| end.to_le_bytes()).collect());
        out.push(self.values);
        out.push(self.sizes);
    }
}
