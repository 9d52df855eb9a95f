//! Interned names: symbols, venues and labels are `Copy`, compare by address and never allocate when cloned.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{LazyLock, PoisonError, RwLock};

use rustc_hash::FxSeededState;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::stable_hash::StableHash;

/// Names live as long as the process. The table is bounded, so that hostile input cannot fill the memory with them.
const MOST_NAMES: usize = 1 << 20;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 96;

/// The hash has a seed of its own in each process: names come from outside, and must not be made to collide.
static NAMES: LazyLock<RwLock<HashSet<Key, FxSeededState>>> = LazyLock::new(|| {
    let seed = RandomState::new().hash_one("names");
    RwLock::new(HashSet::with_hasher(FxSeededState::with_seed(seed as usize)))
});

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// FNV-1a of the text: the same in every process, so that it may be part of a snapshot.
    hash: u64,
}

#[derive(Clone, Copy)]
struct Key(&'static Name);

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Empty, longer than 96 bytes, or with white space or control characters in it.
    Malformed(String),
    /// A symbol that is not `BASE/QUOTE`.
    NotAPair(String),
    /// More than a million distinct names in one process.
    TooMany,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "{text:?} is not a name (1 to 96 bytes, no white space)"),
            Self::NotAPair(text) => write!(f, "{text:?} is not a symbol of the form BASE/QUOTE"),
            Self::TooMany => write!(f, "more than {MOST_NAMES} distinct names"),
        }
    }
}

impl std::error::Error for NameError {}

fn intern(text: &str) -> Result<&'static Name, NameError> {
    if let Some(found) = NAMES.read().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(found.0);
    }
    let sound = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && !text.chars().any(|char| char.is_whitespace() || char.is_control());
    if !sound {
        return Err(NameError::Malformed(text.chars().take(LONGEST_NAME).collect()));
    }
    let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = names.get(text) {
        return Ok(found.0);
    }
    if names.len() >= MOST_NAMES {
        return Err(NameError::TooMany);
    }
    let hash = StableHash::of(text.as_bytes());
    let name: &'static Name = Box::leak(Box::new(Name {
        text: text.into(),
        hash,
    }));
    names.insert(Key(name));
    Ok(name)
}

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $type(&'static Name);

        impl $type {
            /// Interns `text`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                intern(text).map(Self)
            }

            /// The text.
            #[inline]
            pub fn as_str(self) -> &'static str {
                &self.0.text
            }

            /// A hash of the text that is the same in every process and on every machine.
            #[inline]
            pub fn stable_hash(self) -> u64 {
                self.0.hash
            }
        }

        impl PartialEq for $type {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(self.0, other.0)
            }
        }

        impl Eq for $type {}

        impl Hash for $type {
            #[inline]
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u64(self.0.hash);
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a name")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    )+};
}

names! {
    /// A canonical instrument name, `BASE/QUOTE`.
    ///
    /// ```
    /// use qicore_data::Symbol;
    /// let symbol = Symbol::new("BTC/USD")?;
    /// assert_eq!((symbol.base(), symbol.quote()), ("BTC", "USD"));
    /// assert!(Symbol::new("BTCUSD").is_err());
    /// # Ok::<(), qicore_data::NameError>(())
    /// ```
    Symbol |text| match text.split_once('/') {
        Some((base, quote)) if !base.is_empty() && !quote.is_empty() => Ok(()),
        _ => Err(NameError::NotAPair(text.chars().take(LONGEST_NAME).collect())),
    };
    /// A venue, in lower case (`binance`, `coinbase`, `kraken`).
    Exchange |_| Ok(());
    /// Any other short name from a closed set: a plugin, a currency, a series, a rule.
    Label |_| Ok(());
}

/// `base/quote`, where there is room for it. Not on the heap: lists of instruments are thousands of pairs.
fn join<'a>(room: &'a mut [u8], base: &str, quote: &str) -> Option<&'a str> {
    let text = room.get_mut(..base.len() + 1 + quote.len())?;
    let (first, rest) = text.split_at_mut(base.len());
    first.copy_from_slice(base.as_bytes());
    rest[0] = b'/';
    rest[1..].copy_from_slice(quote.as_bytes());
    std::str::from_utf8(text).ok()
}

impl Symbol {
    /// The symbol of a base and a quote currency.
    pub fn pair(base: &str, quote: &str) -> Result<Self, NameError> {
        let mut room = [0; LONGEST_NAME];
        match join(&mut room, base, quote) {
            Some(text) => Self::new(text),
            None => Self::new(&format!("{base}/{quote}")),
        }
    }

    /// What is priced.
    pub fn base(self) -> &'static str {
        self.split().0
    }

    /// What it is priced in.
    pub fn quote(self) -> &'static str {
        self.split().1
    }

    fn split(self) -> (&'static str, &'static str) {
        self.as_str().split_once('/').unwrap_or((self.as_str(), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_name() {
        let (one, two) = (Symbol::new("ETH/USD").unwrap(), Symbol::pair("ETH", "USD").unwrap());
        assert!(std::ptr::eq(one.0, two.0));
        assert_eq!(one.stable_hash(), two.stable_hash());
        assert_ne!(one, Symbol::new("ETH/EUR").unwrap());
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Snapshots hold it: a change would lose every duplicate filter's memory at the next start.
        assert_eq!(Label::new("a").unwrap().stable_hash(), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn refuses_what_is_no_name() {
        assert!(matches!(Exchange::new(""), Err(NameError::Malformed(_))));
        assert!(matches!(Exchange::new("two words"), Err(NameError::Malformed(_))));
        assert!(matches!(Label::new(&"x".repeat(97)), Err(NameError::Malformed(_))));
        assert!(matches!(Symbol::new("/USD"), Err(NameError::NotAPair(_))));
    }

    #[test]
    fn many_threads_intern_at_once() {
        let names = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..500)
                            .map(|i| Label::new(&format!("n{i}")).unwrap())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(names.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
