//! Sections of a configuration file, and mistakes in them with their lines.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, ErrorKind};

/// A mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(ErrorKind::Config, "config", mistakes.to_string())
    }
}

/// One section of a configuration file: what a plugin is built from.
///
/// Holds the document and the way to the section rather than parsed values, so that every mistake can be told with its
/// line.
#[derive(Debug, Clone)]
pub struct Settings {
    document: Arc<str>,
    path: Vec<Step>,
    taken: Vec<String>,
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Item(usize),
}

/// More mistakes than this in one section are not all named.
const MOST_MISTAKES: usize = 20;

impl Settings {
    /// A whole document as one section.
    pub fn parse(document: &str) -> Result<Self, Mistakes> {
        let (_, errors) = DeTable::parse_recoverable(document);
        if !errors.is_empty() {
            let mut mistakes: Vec<_> = errors.iter().map(|error| mistake(document, error, 0)).collect();
            mistakes.sort_by_key(|mistake| mistake.line);
            return Err(Mistakes(mistakes));
        }
        Ok(Self {
            document: document.into(),
            path: Vec::new(),
            taken: Vec::new(),
        })
    }

    /// An empty section: every value has its default.
    pub fn empty() -> Self {
        Self {
            document: "".into(),
            path: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// The line where the section starts, from 1.
    pub fn line(&self) -> usize {
        line_of(&self.document, self.table().0)
    }

    /// Whether the section has a table of this name.
    pub fn has_table(&self, key: &str) -> bool {
        self.table().1.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// Takes a text value out of the section.
    pub fn take_str(&mut self, key: &str) -> Result<Option<String>, Mistakes> {
        let text = match self.table().1.get(key) {
            None => None,
            Some(value) => match value.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                other => {
                    let message = format!("{key} must be a text, not a {}", other.type_str());
                    return Err(self.mistake_at(value.span().start, message));
                }
            },
        };
        self.taken.push(key.to_owned());
        Ok(text)
    }

    /// Takes a table out of the section, as a section of its own.
    pub fn take_section(&mut self, key: &str) -> Result<Option<Self>, Mistakes> {
        let section = match self.table().1.get(key) {
            None => None,
            Some(value) if value.get_ref().is_table() => Some(self.below([Step::Key(key.to_owned())])),
            Some(value) => {
                let message = format!("{key} must be a table ([{key}]), not a {}", value.get_ref().type_str());
                return Err(self.mistake_at(value.span().start, message));
            }
        };
        self.taken.push(key.to_owned());
        Ok(section)
    }

    /// Takes an array of tables out of the section, as sections of their own.
    pub fn take_sections(&mut self, key: &str) -> Result<Vec<Self>, Mistakes> {
        let sections = match self.table().1.get(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref().as_array() {
                Some(items) if items.iter().all(|item| item.get_ref().is_table()) => (0..items.len())
                    .map(|at| self.below([Step::Key(key.to_owned()), Step::Item(at)]))
                    .collect(),
                _ => {
                    return Err(self.mistake_at(
                        value.span().start,
                        format!("{key} is a list of tables: write [[{key}]]"),
                    ));
                }
            },
        };
        self.taken.push(key.to_owned());
        Ok(sections)
    }

    fn below(&self, steps: impl IntoIterator<Item = Step>) -> Self {
        let path = self.path.iter().cloned().chain(steps).collect();
        Self {
            document: Arc::clone(&self.document),
            path,
            taken: Vec::new(),
        }
    }

    /// The section's start and its table, without what was taken out.
    fn table(&self) -> (usize, DeTable<'_>) {
        let (root, _) = DeTable::parse_recoverable(&self.document);
        let mut at = root.span().start;
        let mut value = DeValue::Table(root.into_inner());
        for step in &self.path {
            let next = match (step, &value) {
                (Step::Key(key), value) => value.get(key.as_str()),
                (Step::Item(item), value) => value.get(*item),
            };
            let Some(next) = next.cloned() else {
                return (at, DeTable::new());
            };
            at = next.span().start;
            value = next.into_inner();
        }
        let DeValue::Table(mut table) = value else {
            return (at, DeTable::new());
        };
        for key in &self.taken {
            table.remove(key.as_str());
        }
        (at, table)
    }

    /// Reads the section as `T`, naming every unknown key, missing value and wrong type that can be found.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Mistakes> {
        let (start, mut table) = self.table();
        let mut mistakes = Vec::new();
        loop {
            let spanned = Spanned::new(start..start, DeValue::Table(table.clone()));
            let error: toml::de::Error = match T::deserialize(spanned.into_deserializer()) {
                Ok(value) if mistakes.is_empty() => return Ok(value),
                Ok(_) => return Err(Mistakes(mistakes)),
                Err(error) => error,
            };
            mistakes.push(mistake(&self.document, &error, start));
            // Serde stops at the first mistake: without the key that it names, it can find the next one.
            let at = error.span().map_or(start, |span| span.start);
            let culprit = table
                .iter()
                .find(|(key, value)| (key.span().start..value.span().end).contains(&at));
            let culprit = culprit.map(|(key, _)| key.get_ref().to_string());
            match culprit.and_then(|key| table.remove(key.as_str())) {
                Some(_) if mistakes.len() < MOST_MISTAKES => {}
                _ => return Err(Mistakes(mistakes)),
            }
        }
    }

    /// A mistake in this section as a whole.
    pub fn mistake(&self, message: impl Into<String>) -> Mistakes {
        self.mistake_at(self.table().0, message)
    }

    /// A mistake in the value of a key, which may have been taken out.
    pub fn mistake_in(&self, key: &str, message: impl Into<String>) -> Mistakes {
        let whole = Self {
            taken: Vec::new(),
            ..self.clone()
        };
        let (start, table) = whole.table();
        self.mistake_at(table.get(key).map_or(start, |value| value.span().start), message)
    }

    /// What a plugin cannot be built or used with, at the setting that the error's context `setting` names, or else in this
    /// section as a whole.
    pub fn mistake_of(&self, error: &Error) -> Mistakes {
        match error.context().iter().find(|(key, _)| *key == "setting") {
            Some((_, setting)) => self.mistake_in(setting, error.message()),
            None => self.mistake(error.message()),
        }
    }

    fn mistake_at(&self, at: usize, message: impl Into<String>) -> Mistakes {
        Mistakes(vec![Mistake {
            line: line_of(&self.document, at),
            message: message.into(),
        }])
    }
}

fn line_of(document: &str, at: usize) -> usize {
    document.as_bytes()[..at.min(document.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

fn mistake(document: &str, error: &toml::de::Error, fallback: usize) -> Mistake {
    let at = error.span().map_or(fallback, |span| span.start);
    Mistake {
        line: line_of(document, at),
        message: without_urls(&error.message().trim().replace('\n', "; ")),
    }
}

/// What a value of the wrong kind is quoted with may be a URL, with a password in it.
fn without_urls(message: &str) -> String {
    let mut parts = message.split('"');
    let mut told = parts.next().unwrap_or_default().to_owned();
    for (at, part) in parts.enumerate() {
        told.push('"');
        told.push_str(if at % 2 == 0 && part.contains("://") {
            "…"
        } else {
            part
        });
    }
    told
}

/// Serde form of a duration in configuration: `"250ms"`, `"5s"`, `"2m"`, `"1h"`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de};

    /// Reads a number with its unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a duration like \"250ms\", \"5s\", \"2m\" or \"1h\""
            ))
        })
    }

    /// Reads a number with its unit; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Duration> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at(split);
        let nanos: u64 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        match number.parse::<u64>() {
            Ok(number) => number.checked_mul(nanos).map(Duration::from_nanos),
            Err(_) => number
                .parse::<f64>()
                .ok()
                .and_then(|n| Duration::try_from_secs_f64(n * nanos as f64 / 1e9).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sink {
        path: String,
        #[serde(default)]
        rows: usize,
    }

    const DOCUMENT: &str = "name = \"x\"\n\n[[sink]]\ntype = \"jsonl\"\npath = \"out\"\n\n[[sink]]\ntype = \"csv\"\npth = \"out\"\nrows = \"many\"\n";

    #[test]
    fn a_url_in_the_wrong_place_is_not_told() {
        let settings = Settings::parse("path = \"x\"\nrows = \"http://u:hunter2@h\"").unwrap();
        let told = settings.read::<Sink>().unwrap_err().to_string();
        assert!(
            told.starts_with("line 2: invalid type") && !told.contains("hunter2"),
            "{told}"
        );
    }

    #[test]
    fn names_every_mistake_with_its_line() {
        let mut document = Settings::parse(DOCUMENT).unwrap();
        let mut sinks = document.take_sections("sink").unwrap();
        assert_eq!(sinks[0].take_str("type").unwrap().as_deref(), Some("jsonl"));
        let read = sinks[0].read::<Sink>().unwrap();
        assert_eq!((read.path.as_str(), read.rows), ("out", 0));
        sinks[1].take_str("type").unwrap();
        let mistakes = sinks[1].read::<Sink>().unwrap_err();
        let told = mistakes.to_string();
        assert!(told.contains("line 9: unknown field `pth`"), "{told}");
        assert!(told.contains("line 10: invalid type: string \"many\""), "{told}");
        assert!(told.contains("line 7: missing field `path`"), "{told}");
        assert_eq!(mistakes.0.len(), 3);
    }

    #[test]
    fn a_list_written_as_a_table() {
        let mut document = Settings::parse("[sink]\ntype = \"jsonl\"\n").unwrap();
        assert_eq!(
            document.take_sections("sink").unwrap_err().to_string(),
            "line 1: sink is a list of tables: write [[sink]]"
        );
    }

    #[test]
    fn broken_toml() {
        let told = Settings::parse("a = 1\nb = \nc = [").unwrap_err().to_string();
        assert!(told.starts_with("line 2: "), "{told}");
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration::parse(text), Some(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1 parsec", "99999999999999999h", "1e400s", "1..5s"] {
            assert_eq!(duration::parse(text), None, "{text}");
        }
    }
}
