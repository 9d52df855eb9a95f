use std::collections::BTreeMap;

use qicore_data::{Error, Label, Result};
use serde::Deserialize;

/// What happens to an event that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Pass,
    /// It goes on, with a quality of `medium` at best and the rule's name as a reason.
    Mark,
    /// It goes to the dead letters.
    Reject,
}

/// How `enrich` treats events.
///
/// ```
/// use qicore_data::Settings;
/// use qicore_stream::transform::enrich::{Action, EnrichConfig};
/// let file = Settings::parse(r#"
///     instruments = "listings"
///     unknown_instrument = "reject"
///     quote_currencies = { USDT = "USD" }
/// "#)?;
/// let config = EnrichConfig::default()
///     .instruments("listings")
///     .unknown_instrument(Action::Reject)
///     .quote_currencies([("USDT", "USD")]);
/// assert_eq!(file.read::<EnrichConfig>()?, config);
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EnrichConfig {
    /// The table of instruments. Without one, names, currencies and times are all there is to add.
    pub instruments: Option<String>,
    /// Other names of currencies, and the canonical ones; applied once to both sides of a symbol. Default: `XBT` is `BTC`,
    /// `XDG` is `DOGE`. What is set takes the place of the default as a whole, and so below.
    pub aliases: BTreeMap<String, String>,
    /// Quote currencies and what they stand for, for the enrichment's `quote_currency`; another one stands for itself. It
    /// groups instruments and values nothing: a stablecoin may lose its peg. Default: the dollar's stablecoins `BUSD DAI
    /// FDUSD PYUSD TUSD USDC USDT` stand for `USD`. An empty map leaves `quote_currency` out.
    pub quote_currencies: BTreeMap<String, String>,
    /// Whether the time goes into the enrichment; default yes.
    pub validated_at: bool,
    /// What happens to market data of an instrument that is not in the table. Default with a table:
    /// [`Mark`](Action::Mark).
    pub unknown_instrument: Option<Action>,
    /// What happens to market data of an instrument that is not traded now, as the table has it. Default with a table:
    /// [`Mark`](Action::Mark); a history of delisted instruments wants [`Pass`](Action::Pass).
    pub inactive_instrument: Option<Action>,
    /// What happens to market data with a price that is not a multiple of the instrument's price step. Default:
    /// [`Pass`](Action::Pass), since steps change, and the table has today's.
    pub off_step: Option<Action>,
}

fn map<A: Into<String>, B: Into<String>>(pairs: impl IntoIterator<Item = (A, B)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(from, to)| (from.into(), to.into())).collect()
}

impl Default for EnrichConfig {
    fn default() -> Self {
        let dollars = ["BUSD", "DAI", "FDUSD", "PYUSD", "TUSD", "USDC", "USDT"];
        Self {
            instruments: None,
            aliases: map([("XBT", "BTC"), ("XDG", "DOGE")]),
            quote_currencies: map(dollars.map(|coin| (coin, "USD"))),
            validated_at: true,
            unknown_instrument: None,
            inactive_instrument: None,
            off_step: None,
        }
    }
}

impl EnrichConfig {
    /// Names the table of instruments.
    #[must_use]
    pub fn instruments(mut self, table: impl Into<String>) -> Self {
        self.instruments = Some(table.into());
        self
    }

    /// Sets other names of currencies, each with the canonical one.
    #[must_use]
    pub fn aliases<A: Into<String>, B: Into<String>>(mut self, pairs: impl IntoIterator<Item = (A, B)>) -> Self {
        self.aliases = map(pairs);
        self
    }

    /// Sets what quote currencies stand for.
    #[must_use]
    pub fn quote_currencies<A: Into<String>, B: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (A, B)>,
    ) -> Self {
        self.quote_currencies = map(pairs);
        self
    }

    /// Sets whether the time goes into the enrichment.
    #[must_use]
    pub fn validated_at(mut self, validated_at: bool) -> Self {
        self.validated_at = validated_at;
        self
    }

    /// Sets what happens to market data of an instrument that is not in the table.
    #[must_use]
    pub fn unknown_instrument(mut self, action: Action) -> Self {
        self.unknown_instrument = Some(action);
        self
    }

    /// Sets what happens to market data of an instrument that is not traded now.
    #[must_use]
    pub fn inactive_instrument(mut self, action: Action) -> Self {
        self.inactive_instrument = Some(action);
        self
    }

    /// Sets what happens to prices that are not a multiple of the price step.
    #[must_use]
    pub fn off_step(mut self, action: Action) -> Self {
        self.off_step = Some(action);
        self
    }

    /// Finds what cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        let mistake = |setting, message| Err(Error::config("enrich.config", message).with("setting", setting));
        let maps = [("aliases", &self.aliases), ("quote_currencies", &self.quote_currencies)];
        for (setting, map) in maps {
            for name in map.keys().chain(map.values()) {
                if name.contains('/') || Label::new(name).is_err() {
                    return mistake(setting, format!("{name:?} in {setting} is no currency"));
                }
            }
        }
        let rules = [
            ("unknown_instrument", self.unknown_instrument),
            ("inactive_instrument", self.inactive_instrument),
            ("off_step", self.off_step),
        ];
        match rules.into_iter().find(|(_, action)| action.is_some()) {
            Some((setting, _)) if self.instruments.is_none() => {
                let message = format!("{setting} needs a table of instruments: instruments = \"NAME\"");
                mistake(setting, message)
            }
            _ => Ok(()),
        }
    }
}
