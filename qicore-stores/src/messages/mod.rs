//! Events as messages of a broker: the normalised JSON, or Protobuf where bytes count.
//!
//! Both say the same, exactly: what one was encoded from, either gives back. Which of the two a message is in is told by
//! its header `content-type`, so that both can lie side by side in one topic. Fields that a reader does not know are
//! ignored in both; a word that it does not know (another side, another kind of event) is an error, as is anything
//! that is missing or comes twice: a message is read as it was meant, or not at all.
//!
//! `schemas/` has the JSON Schemas of all messages, which [`schema`] makes, and `qicore.proto` for other languages.
//!
//! ```
//! use qicore_stores::messages::Encoding;
//! # let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1.50","size":"2"}"#;
//! # let event: qicore_data::Event = serde_json::from_str(line).unwrap();
//! for encoding in Encoding::ALL {
//!     let mut payload = Vec::new();
//!     encoding.encode(&event, &mut payload)?;
//!     let told = Encoding::from_content_type(encoding.content_type());
//!     assert_eq!(told.map(|encoding| encoding.decode(&payload)).transpose()?, Some(event.clone()));
//! }
//! # Ok::<(), qicore_data::Error>(())
//! ```

mod protobuf;
pub mod schema;

use qicore_data::{Error, ErrorKind, Event, Result};
use serde::{Deserialize, Serialize};

/// The version of the messages' form, in both encodings. It is raised when a reader of the form before would misread a
/// message, and only then: fields that are added to it are ignored by those who do not know them.
pub const VERSION: u32 = 1;

/// How an event is written into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Encoding {
    /// The normalised JSON, which any consumer reads.
    #[default]
    Json,
    /// Protobuf, after `schemas/qicore.proto`: a third of the bytes, and a fraction of the time.
    Protobuf,
}

impl Encoding {
    /// All encodings.
    pub const ALL: &[Self] = &[Self::Json, Self::Protobuf];

    /// The media type, for a message's header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The encoding of a media type, in upper or lower case and with or without parameters. `None` if it is neither.
    ///
    /// ```
    /// use qicore_stores::messages::Encoding;
    /// assert_eq!(Encoding::from_content_type("application/json; charset=utf-8"), Some(Encoding::Json));
    /// assert_eq!(Encoding::from_content_type("text/csv"), None);
    /// ```
    pub fn from_content_type(text: &str) -> Option<Self> {
        let media_type = text.split(';').next().unwrap_or_default().trim();
        let is = |encoding: &Self| encoding.content_type().eq_ignore_ascii_case(media_type);
        Self::ALL.iter().copied().find(is)
    }

    /// Appends an event's message.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) if the encoding has no form for this kind of event. Nothing is appended
    /// then.
    pub fn encode(self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        let before = out.len();
        let written = match self {
            Self::Json => event
                .append_json(out)
                .map_err(|error| Error::new(ErrorKind::Unsupported, "messages.json", error.to_string())),
            Self::Protobuf => protobuf::encode(event, out),
        };
        written.inspect_err(|_| out.truncate(before))
    }

    /// Reads an event from its message.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the payload is not, from its first byte to its last, the message of an event
    /// that this version knows. The error says what is wrong with it.
    pub fn decode(self, payload: &[u8]) -> Result<Event> {
        match self {
            Self::Json => decode_json(payload).map_err(|message| Error::decode("messages.json", message)),
            Self::Protobuf => protobuf::decode(payload),
        }
    }
}

fn decode_json(payload: &[u8]) -> std::result::Result<Event, String> {
    // `from_slice` would check every string of the payload by itself, which takes longer.
    let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
    Event::from_json(text).map_err(|error| error.to_string())
}
