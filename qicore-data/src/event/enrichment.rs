use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::types::InstrumentKind;
use crate::intern::Label;
use crate::time::Timestamp;

/// What is known of an event beyond what its venue sent: added by `validate` and `enrich`, and written as the object
/// `enrichment` of the normalised JSON.
///
/// Shared between events and never part of an event's identity: two events that differ in nothing else are the same.
/// Tabular formats (CSV, Parquet, tables of databases) have no columns for it.
///
/// ```
/// use qicore_data::{Enrichment, Label};
/// let mut enrichment = Enrichment { active: Some(false), ..Enrichment::default() };
/// enrichment.add_reason(Label::new("inactive_instrument")?);
/// let json = r#"{"reasons":["inactive_instrument"],"active":false}"#;
/// assert_eq!(serde_json::to_string(&enrichment)?, json);
/// assert_eq!(serde_json::from_str::<Enrichment>(json)?, enrichment);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Enrichment {
    /// When the event passed validation, by the wall clock of the process that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated_at: Option<Timestamp>,
    /// Why the quality is not high: the names of the rules that the event breaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Label>,
    /// The venue's own name of the instrument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<Label>,
    /// The instrument's canonical base currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Label>,
    /// The instrument's canonical quote currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Label>,
    /// The currency that the quote currency stands for (`USD` for `USDT`), or else the quote currency itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_currency: Option<Label>,
    /// What the instrument is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<InstrumentKind>,
    /// Whether the instrument can be traded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The instrument's smallest price step.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_decimal")]
    pub price_step: Option<Decimal>,
    /// The instrument's smallest size step, in base currency.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_decimal")]
    pub size_step: Option<Decimal>,
}

impl Enrichment {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a reason, unless it is there: an event may pass the same rules twice, in two pipelines.
    pub fn add_reason(&mut self, reason: Label) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// Serde form of a decimal that may be absent.
mod optional_decimal {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::decimal::{DecimalText, Quoted};

    pub(super) fn serialize<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_str(DecimalText::new(*value).as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
        Ok(Option::<Quoted>::deserialize(deserializer)?.map(|value| value.0))
    }
}
