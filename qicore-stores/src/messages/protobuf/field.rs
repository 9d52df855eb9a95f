//! The fields of messages: those that must be there, and those that may.

use qicore_data::Result;

use super::value::Value;
use super::wire::{Reader, push_key, within, wrong};

/// A message with fields of its own.
pub(super) trait Message: Sized {
    /// The name in `qicore.proto`.
    const NAME: &'static str;

    /// Appends the fields.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads all fields.
    fn read(reader: Reader<'_>) -> Result<Self>;
}

/// The type of a struct's field.
pub(super) trait Field: Sized {
    type Value: Value;

    /// What is written, if anything is.
    fn value(&self) -> Option<&Self::Value>;

    /// The field of what was found. `None` if there must be something.
    fn of(found: Option<Self::Value>) -> Option<Self>;
}

impl<T: Value> Field for T {
    type Value = T;

    #[inline]
    fn value(&self) -> Option<&T> {
        (!self.is_absent()).then_some(self)
    }

    #[inline]
    fn of(found: Option<T>) -> Option<Self> {
        found.or_else(T::absent)
    }
}

impl<T: Value> Field for Option<T> {
    type Value = T;

    #[inline]
    fn value(&self) -> Option<&T> {
        self.as_ref()
    }

    #[inline]
    fn of(found: Option<T>) -> Option<Self> {
        Some(found)
    }
}

/// Appends a field, if it has a value.
#[inline]
pub(super) fn write<T: Field>(number: u32, field: &T, out: &mut Vec<u8>) {
    if let Some(value) = field.value() {
        push_key(number, T::Value::WIRE_TYPE, out);
        value.push(out);
    }
}

/// The field of what was found. `place` is the message and the field.
#[inline]
pub(super) fn found<T: Field>(found: Option<T::Value>, place: (&'static str, &'static str)) -> Result<T> {
    T::of(found).ok_or_else(|| within(wrong("the field is missing"), place))
}
