//! Passwords and keys.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A password, key or token. Shown as `[redacted]` by `Debug`, and neither `Display` nor `Serialize`.
///
/// In configuration it is `{ env = "NAME" }`, `{ file = "PATH" }` (a trailing line end is cut) or, for tests, the text
/// itself. Reading a variable or file that is not there is a configuration error that names it.
///
/// ```
/// use qicore_data::Secret;
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    env: Option<String>,
    file: Option<std::path::PathBuf>,
}

impl From {
    fn read(self) -> Result<Secret, String> {
        match (self.env, self.file) {
            // It may be the secret itself.
            (Some(name), None) if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                Err("env is not the name of a variable: letters, digits and underscores".into())
            }
            (Some(name), None) => match std::env::var(&name) {
                Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
                _ => Err(format!("missing secret: set the environment variable {name}")),
            },
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
                Err(error) => Err(format!("missing secret: {}: {error}", path.display())),
            },
            _ => Err("a secret is { env = \"NAME\" } or { file = \"PATH\" }".into()),
        }
    }
}

const NO_TEXT: &str = "a secret is { env = \"NAME\" }, { file = \"PATH\" } or a text in quotation marks";

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ env = \"NAME\" }, { file = \"PATH\" } or a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }
            // What it is in place of a text may be the secret, so that it is not told.
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
                Err(E::custom(NO_TEXT))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom(NO_TEXT))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                Err(E::custom(NO_TEXT))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                let from = From::deserialize(de::value::MapAccessDeserializer::new(map))?;
                from.read().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Config {
        key: Secret,
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = toml::from_str::<Config>("key = { env = \"QICORE_NO_SUCH_SECRET\" }").unwrap_err();
        assert!(error.message().contains("QICORE_NO_SUCH_SECRET"), "{error}");
    }

    #[test]
    fn a_secret_in_place_of_a_variables_name_is_not_told() {
        let error = toml::from_str::<Config>("key = { env = \"http://u:hunter2@h\" }").unwrap_err();
        assert!(!error.message().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_number_in_place_of_a_text_is_not_told() {
        for wrong in ["271828", "2.71828", "true"] {
            let error = toml::from_str::<Config>(&format!("key = {wrong}")).unwrap_err();
            assert!(error.message().contains("quotation marks"), "{error}");
            assert!(!error.message().contains(wrong), "{}", error.message());
        }
    }

    #[test]
    fn a_file_loses_its_line_end() {
        let path = std::env::temp_dir().join(format!("qicore-secret-{}", std::process::id()));
        std::fs::write(&path, "hunter2\n").unwrap();
        let config: Config = toml::from_str(&format!("key = {{ file = {path:?} }}")).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(config.key.expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
