//! The bytes of fields: keys, lengths, and where each ends.

use prost::DecodeError;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, encoded_len_varint, skip_field,
};
use qicore_data::{Error, Result};

use super::OPERATION;
use super::value::Value;

/// A field's number and the form of its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) number: u32,
    pub(super) wire_type: WireType,
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

#[cold]
fn damaged(error: DecodeError) -> Error {
    Error::decode(OPERATION, error.to_string())
}

/// An error of a value.
#[cold]
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::decode(OPERATION, message)
}

#[cold]
fn cut_short() -> Error {
    wrong("the message is cut short")
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many varints are left, if nothing else is.
    pub(super) fn count_varints(&self) -> usize {
        self.0.iter().filter(|byte| **byte < 0x80).count()
    }

    /// The next field's key; `None` at the end.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Option<Key>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = decode_key(&mut self.0).map_err(damaged)?;
        Ok(Some(Key { number, wire_type }))
    }

    /// Reads the value of a field that may come once. `place` is the message and the field.
    #[inline]
    pub(super) fn field<T: Value>(
        &mut self,
        key: Key,
        slot: &mut Option<T>,
        place: (&'static str, &'static str),
    ) -> Result<()> {
        let read = match check(key, T::WIRE_TYPE, slot.is_some()) {
            Ok(()) => T::take(self),
            Err(error) => Err(error),
        };
        *slot = read.map_err(|error| within(error, place))?;
        Ok(())
    }

    /// The fields 1 to `N`, each with its length before it. Those that do not come are empty.
    pub(super) fn pieces<const N: usize>(
        mut self,
        message: &'static str,
        names: [&'static str; N],
    ) -> Result<[Self; N]> {
        let mut pieces: [Option<Self>; N] = [None; N];
        while let Some(key) = self.key()? {
            let index = key.number as usize - 1;
            let Some(piece) = pieces.get_mut(index) else {
                self.skip(key)?;
                continue;
            };
            let read = check(key, WireType::LengthDelimited, piece.is_some()).and_then(|()| self.delimited());
            *piece = Some(Self(read.map_err(|error| within(error, (message, names[index])))?));
        }
        Ok(pieces.map(|piece| piece.unwrap_or(Self(&[]))))
    }

    /// Passes over a field that is not known.
    pub(super) fn skip(&mut self, key: Key) -> Result<()> {
        skip_field(key.wire_type, key.number, &mut self.0, DecodeContext::default()).map_err(damaged)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64> {
        decode_varint(&mut self.0).map_err(damaged)
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// The bytes of a value that has its length before it.
    #[inline]
    pub(super) fn delimited(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        let split = usize::try_from(length).ok().and_then(|at| self.0.split_at_checked(at));
        let (bytes, rest) = split.ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.delimited()?).map_err(|error| wrong(error.to_string()))
    }
}

/// A field has the form that it is to have, and comes once.
#[inline]
fn check(key: Key, expected: WireType, again: bool) -> Result<()> {
    if key.wire_type == expected && !again {
        return Ok(());
    }
    Err(unfit(key, expected))
}

#[cold]
fn unfit(key: Key, expected: WireType) -> Error {
    if key.wire_type == expected {
        wrong("the field comes twice")
    } else {
        wrong(format!("{:?} where {expected:?} is to be", key.wire_type))
    }
}

/// The error, with the field that it is in.
#[cold]
pub(super) fn within(error: Error, (message, field): (&'static str, &'static str)) -> Error {
    error.with("field", format_args!("{message}.{field}"))
}

#[inline]
pub(super) fn push_varint(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        encode_varint(value, out);
    }
}

#[inline]
pub(super) fn push_key(number: u32, wire_type: WireType, out: &mut Vec<u8>) {
    push_varint(u64::from(number << 3 | wire_type as u32), out);
}

/// Appends what `write` appends with its length before it. A byte is left for the length, which is enough for all but
/// books; for those the value is moved. To count it first would be to go through each event twice.
#[inline]
pub(super) fn push_delimited(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
    } else {
        widen(out, at, length);
    }
}

fn widen(out: &mut Vec<u8>, at: usize, length: usize) {
    let (start, end) = (at + 1, out.len());
    let wider = encoded_len_varint(length as u64) - 1;
    out.resize(end + wider, 0);
    out.copy_within(start..end, start + wider);
    encode_varint(length as u64, &mut &mut out[at..start + wider]);
}
