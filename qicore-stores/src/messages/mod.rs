//! placeholder until merged
use qicore_data::{Error, ErrorKind, Event, Result};
use serde::Deserialize;
/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
}
/// Version.
pub const VERSION: u32 = 1;
impl Encoding {
    /// Type.
    pub const fn content_type(self) -> &'static str {
        "application/json"
    }
    /// From.
    pub fn from_content_type(text: &str) -> Option<Self> {
        (text == "application/json").then_some(Self::Json)
    }
    /// Encode.
    pub fn encode(self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(out, event).map_err(|e| Error::new(ErrorKind::Internal, "messages.encode", e.to_string()))
    }
    /// Decode.
    pub fn decode(self, payload: &[u8]) -> Result<Event> {
        serde_json::from_slice(payload).map_err(|e| Error::decode("messages.decode", e.to_string()))
    }
}
