//! The fields of an object: through any serde serializer, or straight to JSON text, which is several times as fast because
//! names of fields, decimals and times are known to need no escapes.

use rust_decimal::Decimal;
use serde::Serialize;
use serde::ser::SerializeMap;

use super::super::{Level, TradeId};
use crate::decimal::DecimalText;
use crate::time::{Timestamp, TimestampText};

/// What takes the entries of an object.
pub(super) trait Object {
    type Error;

    fn entry<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Self::Error>;

    /// A text without anything that JSON would escape.
    #[inline]
    fn plain(&mut self, name: &'static str, text: &str) -> Result<(), Self::Error> {
        self.entry(name, text)
    }

    /// A text that hardly ever has anything that JSON would escape.
    #[inline]
    fn name(&mut self, name: &'static str, text: &str) -> Result<(), Self::Error> {
        self.entry(name, text)
    }

    #[inline]
    fn decimal(&mut self, name: &'static str, value: Decimal) -> Result<(), Self::Error> {
        self.entry(name, DecimalText::new(value).as_str())
    }

    #[inline]
    fn timestamp(&mut self, name: &'static str, at: Timestamp) -> Result<(), Self::Error> {
        self.entry(name, &at)
    }

    fn levels(&mut self, name: &'static str, levels: &[Level]) -> Result<(), Self::Error> {
        self.entry(name, levels)
    }
}

/// Any serializer's.
pub(super) struct Entries<M>(pub(super) M);

impl<M: SerializeMap> Object for Entries<M> {
    type Error = M::Error;

    #[inline]
    fn entry<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(name, value)
    }
}

/// JSON text.
pub(super) struct Text<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next entry.
    before: u8,
}

impl<'a> Text<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, before: b'{' }
    }

    /// Writes a name up to its value, and makes room for so much more.
    #[inline]
    fn key(&mut self, name: &'static str, more: usize) {
        self.out.reserve(name.len() + 4 + more);
        self.out.extend_from_slice(&[self.before, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.before = b',';
    }

    #[inline]
    fn quoted_entry(&mut self, name: &'static str, text: &[u8]) {
        self.key(name, text.len() + 2);
        self.quoted(text);
    }

    #[inline]
    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }
}

impl Object for Text<'_> {
    type Error = serde_json::Error;

    fn entry<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), serde_json::Error> {
        self.key(name, 0);
        serde_json::to_writer(&mut *self.out, value)
    }

    #[inline]
    fn plain(&mut self, name: &'static str, text: &str) -> Result<(), serde_json::Error> {
        self.quoted_entry(name, text.as_bytes());
        Ok(())
    }

    #[inline]
    fn name(&mut self, name: &'static str, text: &str) -> Result<(), serde_json::Error> {
        // Without a branch for each byte: this is done for many at a time.
        let escapes = |found, byte: u8| found | (byte < b' ') | (byte == b'"') | (byte == b'\\');
        match text.bytes().fold(false, escapes) {
            false => self.plain(name, text),
            true => self.entry(name, text),
        }
    }

    #[inline]
    fn decimal(&mut self, name: &'static str, value: Decimal) -> Result<(), serde_json::Error> {
        self.quoted_entry(name, DecimalText::new(value).as_bytes());
        Ok(())
    }

    #[inline]
    fn timestamp(&mut self, name: &'static str, at: Timestamp) -> Result<(), serde_json::Error> {
        self.quoted_entry(name, TimestampText::new(at).as_bytes());
        Ok(())
    }

    fn levels(&mut self, name: &'static str, levels: &[Level]) -> Result<(), serde_json::Error> {
        // What levels of usual prices take.
        self.key(name, 2 + 32 * levels.len());
        self.out.push(b'[');
        for (at, level) in levels.iter().enumerate() {
            self.out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
            self.quoted(DecimalText::new(level.price).as_bytes());
            self.out.push(b',');
            self.quoted(DecimalText::new(level.size).as_bytes());
            self.out.push(b']');
        }
        self.out.push(b']');
        Ok(())
    }
}

/// Adds entries one after another; absent optional values are left out.
pub(super) struct Fields<O>(pub(super) O);

impl<O: Object> Fields<O> {
    #[inline]
    pub(super) fn put<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<&mut Self, O::Error> {
        self.0.entry(name, value)?;
        Ok(self)
    }

    #[inline]
    pub(super) fn put_some<T: Serialize>(
        &mut self,
        name: &'static str,
        value: Option<&T>,
    ) -> Result<&mut Self, O::Error> {
        match value {
            Some(value) => self.put(name, value),
            None => Ok(self),
        }
    }

    /// One of a set of words, none of which has anything to escape.
    #[inline]
    pub(super) fn word(&mut self, name: &'static str, word: &'static str) -> Result<&mut Self, O::Error> {
        self.0.plain(name, word)?;
        Ok(self)
    }

    #[inline]
    pub(super) fn some_word(&mut self, name: &'static str, word: Option<&'static str>) -> Result<&mut Self, O::Error> {
        match word {
            Some(word) => self.word(name, word),
            None => Ok(self),
        }
    }

    #[inline]
    pub(super) fn name(&mut self, name: &'static str, text: &str) -> Result<&mut Self, O::Error> {
        self.0.name(name, text)?;
        Ok(self)
    }

    #[inline]
    pub(super) fn timestamp(&mut self, name: &'static str, at: Timestamp) -> Result<&mut Self, O::Error> {
        self.0.timestamp(name, at)?;
        Ok(self)
    }

    #[inline]
    pub(super) fn some_timestamp(&mut self, name: &'static str, at: Option<Timestamp>) -> Result<&mut Self, O::Error> {
        match at {
            Some(at) => self.timestamp(name, at),
            None => Ok(self),
        }
    }

    #[inline]
    pub(super) fn decimal(&mut self, name: &'static str, value: Decimal) -> Result<&mut Self, O::Error> {
        self.0.decimal(name, value)?;
        Ok(self)
    }

    #[inline]
    pub(super) fn some_decimal(&mut self, name: &'static str, value: Option<Decimal>) -> Result<&mut Self, O::Error> {
        match value {
            Some(value) => self.decimal(name, value),
            None => Ok(self),
        }
    }

    #[inline]
    pub(super) fn some_id(&mut self, name: &'static str, id: Option<&TradeId>) -> Result<&mut Self, O::Error> {
        match id {
            Some(TradeId::Number(id)) => self.0.plain(name, itoa::Buffer::new().format(*id))?,
            Some(TradeId::Text(id)) => self.0.name(name, id)?,
            None => {}
        }
        Ok(self)
    }

    #[inline]
    pub(super) fn levels(&mut self, name: &'static str, levels: &[Level]) -> Result<&mut Self, O::Error> {
        self.0.levels(name, levels)?;
        Ok(self)
    }
}
