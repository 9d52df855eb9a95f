//! Columns of decimals that can take back what they were given: a row of which one decimal does not fit leaves nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, ListArray, NullBufferBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use qicore_data::Level;

use super::scaled::Scale;

/// `Decimal128`'s most digits.
const PRECISION: u8 = 38;

pub(super) fn data_type(scale: Scale) -> DataType {
    DataType::Decimal128(PRECISION, scale.digits() as i8)
}

/// A level of a book, as an item of a list.
pub(super) fn level(scale: Scale) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(level_fields(scale)), false))
}

fn level_fields(scale: Scale) -> Fields {
    let fields = ["price", "size"].map(|name| Field::new(name, data_type(scale), false));
    fields.to_vec().into()
}

/// A column of decimals.
#[derive(Debug)]
pub(super) struct Decimals {
    values: Vec<i128>,
    nulls: NullBufferBuilder,
}

impl Decimals {
    pub(super) fn new(room: usize) -> Self {
        Self {
            values: Vec::with_capacity(room),
            nulls: NullBufferBuilder::new(room),
        }
    }

    /// Appends a value; false if there is none.
    #[inline]
    pub(super) fn push(&mut self, value: Option<i128>) -> bool {
        self.values.push(value.unwrap_or_default());
        self.nulls.append_non_null();
        value.is_some()
    }

    #[inline]
    pub(super) fn push_null(&mut self) -> bool {
        self.values.push(0);
        self.nulls.append_null();
        true
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn finish(mut self, scale: Scale) -> Decimal128Array {
        Decimal128Array::new(ScalarBuffer::from(self.values), self.nulls.finish()).with_data_type(data_type(scale))
    }
}

/// A column of one side of books.
#[derive(Debug)]
pub(super) struct Sides {
    /// Where each row's levels end, after a first zero.
    ends: Vec<i32>,
    prices: Vec<i128>,
    sizes: Vec<i128>,
    /// Levels that [`Sides::grown`] has told.
    told: usize,
}

impl Default for Sides {
    fn default() -> Self {
        Self {
            ends: vec![0],
            prices: Vec::new(),
            sizes: Vec::new(),
            told: 0,
        }
    }
}

impl Sides {
    /// Appends a row's levels; false if one of them does not fit.
    pub(super) fn push(&mut self, levels: &[Level], scale: Scale) -> bool {
        let mut fit = true;
        for level in levels {
            let (price, size) = (scale.exact(level.price), scale.exact(level.size));
            fit &= price.is_some() && size.is_some();
            self.prices.push(price.unwrap_or_default());
            self.sizes.push(size.unwrap_or_default());
        }
        // Bounded far below 2³¹: columns are handed over after some megabytes.
        self.ends.push(self.prices.len() as i32);
        fit
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        let levels = self.ends.last().map_or(0, |end| *end as usize);
        self.prices.truncate(levels);
        self.sizes.truncate(levels);
    }

    /// Bytes of the levels that came since the last call.
    pub(super) fn grown(&mut self) -> usize {
        let fresh = self.prices.len().saturating_sub(self.told);
        self.told = self.prices.len();
        fresh * 2 * size_of::<i128>()
    }

    pub(super) fn finish(self, scale: Scale) -> ListArray {
        let side = |values: Vec<i128>| -> ArrayRef {
            Arc::new(Decimal128Array::new(ScalarBuffer::from(values), None).with_data_type(data_type(scale)))
        };
        let levels = StructArray::new(level_fields(scale), vec![side(self.prices), side(self.sizes)], None);
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        ListArray::new(level(scale), ends, Arc::new(levels), None)
    }
}
