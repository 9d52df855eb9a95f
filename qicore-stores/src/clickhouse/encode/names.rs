//! A column of few different texts: `LowCardinality(String)`.

use rustc_hash::FxHashMap;

use super::native::{self, Parts};

/// `KeysSerializationVersion`: a dictionary with each block.
const VERSION: u64 = 1;
/// The dictionary comes with the block, and is all that there is.
const OWN_DICTIONARY: u64 = (1 << 9) | (1 << 10);

/// Texts as numbers into a dictionary.
pub(super) struct Names {
    /// In the order of their numbers, each with its length before it.
    dictionary: Vec<u8>,
    numbers: FxHashMap<Box<str>, u32>,
    keys: Vec<u32>,
    /// Where the last text lies, and its number: sorted rows mostly repeat it, and names are interned.
    last: (usize, usize, u32),
}

impl Names {
    pub(super) fn new(rows: usize) -> Self {
        let mut names = Self {
            dictionary: Vec::new(),
            numbers: FxHashMap::default(),
            keys: Vec::with_capacity(rows),
            last: (0, 0, 0),
        };
        // The server's own blocks begin with the type's default value.
        names.number("");
        names
    }

    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        let (at, length, number) = self.last;
        if (at, length) == (text.as_ptr() as usize, text.len()) {
            self.keys.push(number);
            return;
        }
        let number = self.number(text);
        self.keys.push(number);
    }

    /// The same for a text that does not outlive the column, so that another one may come to lie where it lies.
    pub(super) fn push_fleeting(&mut self, text: &str) {
        let number = self.number(text);
        self.keys.push(number);
        self.last = (0, 0, 0);
    }

    fn number(&mut self, text: &str) -> u32 {
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                let next = self.numbers.len() as u32;
                native::text(&mut self.dictionary, text);
                self.numbers.insert(text.into(), next);
                next
            }
        };
        self.last = (text.as_ptr() as usize, text.len(), number);
        number
    }

    /// Numbers go in as few bytes as the dictionary needs.
    pub(super) fn write(self, out: &mut Parts) {
        let entries = self.numbers.len();
        let width: u64 = match entries {
            0..=0x100 => 0,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        native::number(&mut out.small, VERSION);
        native::number(&mut out.small, OWN_DICTIONARY | width);
        native::number(&mut out.small, entries as u64);
        out.push(self.dictionary);
        native::number(&mut out.small, self.keys.len() as u64);
        out.push(match width {
            0 => self.keys.iter().map(|key| *key as u8).collect(),
            1 => self.keys.iter().flat_map(|key| (*key as u16).to_le_bytes()).collect(),
            _ => self.keys.iter().flat_map(|key| key.to_le_bytes()).collect(),
        });
    }
}
