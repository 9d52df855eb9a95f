//! Sections of a configuration that must not be told when they are something else: a password may be in it.

/// Reads a struct with `#[serde(remote = "Self")]` from a table alone. A text in its place, such as a URL, is refused
/// without being quoted.
macro_rules! section {
    ($type:ty, $example:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Table;
                impl<'de> serde::de::Visitor<'de> for Table {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the settings of a connection, like ", $example))
                    }
                    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<$type, E> {
                        Err(E::custom(format_args!(
                            "a text, where there must be {}",
                            &self as &dyn serde::de::Expected
                        )))
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_any(Table)
            }
        }
    };
}

pub(crate) use section;
