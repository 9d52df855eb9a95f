//! The configuration that the sources of all databases have.

/// Makes the configuration of a database's source, and the source's own builder methods. `$place` is what the database
/// calls a set of tables.
macro_rules! rows_config {
    (
        $(#[$doc:meta])*
        $config:ident for $rows:ident, $name:literal, $store:ty, $connection:ty, $tables:ty,
        $place:ident: $in_place:ident, $place_doc:literal
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $config {
            /// How to reach the database.
            pub connection: $connection,
            #[doc = $place_doc]
            pub $place: String,
            /// The kinds of rows; one lane each, one after the other.
            pub types: Vec<qicore_data::EventType>,
            /// Only these symbols; all if there is none.
            pub symbols: Vec<qicore_data::Symbol>,
            /// Only these venues; all if there is none.
            pub exchanges: Vec<qicore_data::Exchange>,
            /// Only candles of this timeframe.
            pub timeframe: Option<qicore_data::Timeframe>,
            /// From this time on.
            pub from: Option<qicore_data::Timestamp>,
            /// Up to this time, without it.
            pub to: Option<qicore_data::Timestamp>,
        }

        impl Default for $config {
            fn default() -> Self {
                Self {
                    connection: <$connection>::default(),
                    $place: <$tables>::default().$place,
                    types: vec![qicore_data::EventType::Candle],
                    symbols: Vec::new(),
                    exchanges: Vec::new(),
                    timeframe: None,
                    from: None,
                    to: None,
                }
            }
        }

        impl $config {
            fn tables(&self) -> $tables {
                <$tables>::$in_place(&self.$place)
            }
        }

        impl crate::stored::StoredConfig for $config {
            const NAME: &'static str = $name;
            type Store = $store;

            fn check(&self) -> qicore_data::Result<()> {
                let range = self.from.zip(self.to);
                if let Err(message) = crate::stored::checked(&self.types, self.timeframe, range) {
                    return Err(qicore_data::Error::config(concat!($name, ".config"), message));
                }
                self.connection.check()?;
                self.tables().check()
            }

            fn place(&self) -> &str {
                &self.$place
            }

            fn types(&self) -> &[qicore_data::EventType] {
                &self.types
            }

            fn selection(&self, event_type: qicore_data::EventType) -> qicore_stores::Selection {
                let mut selection = qicore_stores::Selection::of(event_type)
                    .symbols(self.symbols.iter().copied())
                    .exchanges(self.exchanges.iter().copied());
                (selection.timeframe, selection.from, selection.to) = (self.timeframe, self.from, self.to);
                selection
            }

            fn store(&self) -> qicore_data::Result<$store> {
                <$store>::new(&self.connection, &self.tables())
            }
        }

        impl $rows {
            /// All candles of a database.
            pub fn new(connection: $connection) -> Self {
                Self::from_config($config {
                    connection,
                    ..$config::default()
                })
            }

            #[doc = $place_doc]
            #[must_use]
            pub fn $place(mut self, $place: impl Into<String>) -> Self {
                self.config.$place = $place.into();
                self
            }

            /// Sets the kinds of rows. Default candles.
            #[must_use]
            pub fn types(mut self, types: impl IntoIterator<Item = qicore_data::EventType>) -> Self {
                self.config.types = types.into_iter().collect();
                self
            }

            /// Only these symbols.
            #[must_use]
            pub fn symbols(mut self, symbols: impl IntoIterator<Item = qicore_data::Symbol>) -> Self {
                self.config.symbols = symbols.into_iter().collect();
                self
            }

            /// Only candles of this timeframe.
            #[must_use]
            pub fn timeframe(mut self, timeframe: qicore_data::Timeframe) -> Self {
                self.config.timeframe = Some(timeframe);
                self
            }

            /// Only rows from one time up to another, without that.
            #[must_use]
            pub fn between(mut self, from: qicore_data::Timestamp, to: qicore_data::Timestamp) -> Self {
                (self.config.from, self.config.to) = (Some(from), Some(to));
                self
            }
        }
    };
}

pub(crate) use rows_config;
