//! The text of a duplicate filter's memory: JSON around 64-digit numbers, 33 characters a key.

use std::collections::BTreeMap;
use std::fmt::Display;

use qicore_data::{EventType, Result};
use serde::{Deserialize, Serialize};

use super::memory::Entry;
use crate::transform::damaged;

/// Of the text and of the fingerprints in it.
const VERSION: u32 = 1;
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// Digits of 6 bits that a word takes.
const WORD: usize = 11;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    seen: BTreeMap<String, String>,
}

/// Writes the entries of each kind of event, oldest first.
pub(super) fn write<I: ExactSizeIterator<Item = Entry>>(
    kinds: impl Iterator<Item = (EventType, I)>,
) -> Result<Box<str>> {
    let seen = kinds.filter(|(_, entries)| entries.len() > 0).map(|(kind, entries)| {
        let mut text = String::with_capacity(entries.len() * WORD * 3);
        for entry in entries {
            for word in [entry.key[0], entry.key[1], entry.value] {
                text.extend((0..WORD).map(|digit| DIGITS[(word >> (6 * digit)) as usize & 63] as char));
            }
        }
        (kind.to_string(), text)
    });
    let state = State {
        version: VERSION,
        seen: seen.collect(),
    };
    let text = serde_json::to_string(&state).map_err(unreadable)?;
    Ok(text.into())
}

/// Reads what [`write`] wrote.
pub(super) fn read(text: &str) -> Result<Vec<(EventType, Vec<Entry>)>> {
    let state: State = serde_json::from_str(text).map_err(unreadable)?;
    if state.version != VERSION {
        return Err(unreadable(format_args!(
            "it has version {}, not {VERSION}",
            state.version
        )));
    }
    let kind = |(name, text): (String, String)| Ok((name.parse().map_err(unreadable)?, entries(&text)?));
    state.seen.into_iter().map(kind).collect()
}

fn entries(text: &str) -> Result<Vec<Entry>> {
    let (chunks, rest) = text.as_bytes().as_chunks::<{ WORD * 3 }>();
    if !rest.is_empty() {
        return Err(unreadable("a key is cut off"));
    }
    let entry = |chunk: &[u8; WORD * 3]| {
        Some(Entry {
            key: [word(&chunk[..WORD])?, word(&chunk[WORD..2 * WORD])?],
            value: word(&chunk[2 * WORD..])?,
        })
    };
    let entries: Option<Vec<_>> = chunks.iter().map(entry).collect();
    entries.ok_or_else(|| unreadable("a key is malformed"))
}

fn word(digits: &[u8]) -> Option<u64> {
    digits.iter().enumerate().try_fold(0, |word, (at, digit)| {
        let value = DIGITS.iter().position(|known| known == digit)? as u64;
        let bits = value << (6 * at);
        (bits >> (6 * at) == value).then_some(word | bits)
    })
}

fn unreadable(why: impl Display) -> qicore_data::Error {
    damaged("dedupe.restore", why)
}
