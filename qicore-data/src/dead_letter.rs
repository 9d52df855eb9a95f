//! Rows and payloads that could not be processed, kept with what is needed to find out why and to try again.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::batch::Frame;
use crate::error::Result;
use crate::event::Event;
use crate::lane::Lane;
use crate::time::Timestamp;

/// One line of a dead-letter file (or one message of a dead-letter topic).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The same for the same row in every run, so that a redelivered letter can be told.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// The pipeline.
    pub pipeline: String,
    /// The source plugin.
    pub source: String,
    /// Where it failed: `decode`, a transform's name, or `sink:` and the sink's name.
    pub stage: String,
    /// The rule or kind of error.
    pub reason: String,
    /// What is wrong, in words.
    pub error: String,
    /// The lane.
    pub lane: Lane,
    /// The place in the lane: the frame's, or the end of the batch that the event was in.
    pub offset: u64,
    /// What was refused.
    #[serde(flatten)]
    pub payload: Payload,
}

impl DeadLetter {
    /// The same letter with at most so many letters or digits of what was refused, and a word about it: for a store that does
    /// not take larger ones. The whole is where it was read: the lane and the offset stay.
    #[must_use]
    pub fn cut(&self, bytes: usize) -> Self {
        let head = |whole: &str, bytes| whole[..whole.floor_char_boundary(bytes)].to_owned();
        let (payload, kept, of) = match &self.payload {
            Payload::Event { event } => {
                let whole = serde_json::to_string(event).unwrap_or_default();
                let raw = head(&whole, bytes);
                let (kept, received, channel) = (raw.len(), event.received, None);
                (Payload::Text { raw, received, channel }, kept, whole.len())
            }
            Payload::Text { raw, received, channel } => {
                let (of, raw) = (raw.len(), head(raw, bytes));
                let (kept, received, channel) = (raw.len(), *received, channel.clone());
                (Payload::Text { raw, received, channel }, kept, of)
            }
            Payload::Binary {
                raw_hex,
                received,
                channel,
            } => {
                // Two digits a byte.
                let (of, raw_hex) = (raw_hex.len() / 2, head(raw_hex, bytes & !1));
                let (kept, received, channel) = (raw_hex.len() / 2, *received, channel.clone());
                let payload = Payload::Binary {
                    raw_hex,
                    received,
                    channel,
                };
                (payload, kept, of)
            }
        };
        let error = format!("{} (cut: {kept} of {of} bytes are kept here)", self.error);
        Self {
            error,
            payload,
            ..self.clone()
        }
    }
}

/// Keeps what could not be processed. A batch counts as done only once its rejects are kept here.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps the letters; on `Ok` they are durable. A letter may come again after a restart, with the same id.
    async fn write(&self, letters: Vec<DeadLetter>) -> Result<()>;

    /// Finds out whether letters could be kept, at the start of a run.
    async fn open(&self) -> Result<()> {
        Ok(())
    }
}

/// What a dead letter holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Payload {
    /// An event that a transform or a sink refused.
    Event {
        /// The event in its normalised form.
        event: Box<Event>,
    },
    /// A frame that could not be decoded, in UTF-8.
    Text {
        /// The payload as received.
        raw: String,
        /// When it was received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        received: Option<Timestamp>,
        /// Where it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    /// A frame that is not UTF-8.
    Binary {
        /// The payload as received, in hexadecimal digits.
        raw_hex: String,
        /// When it was received.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        received: Option<Timestamp>,
        /// Where it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
}

impl Payload {
    /// The payload of a refused frame.
    pub fn of_frame(frame: &Frame) -> Self {
        let (received, channel) = (frame.received, frame.channel.as_deref().map(str::to_owned));
        match std::str::from_utf8(&frame.payload) {
            Ok(text) => Self::Text {
                raw: text.to_owned(),
                received,
                channel,
            },
            Err(_) => {
                let raw_hex = frame.payload.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let raw_hex = raw_hex
                    .filter_map(|digit| char::from_digit(u32::from(digit), 16))
                    .collect();
                Self::Binary {
                    raw_hex,
                    received,
                    channel,
                }
            }
        }
    }

    /// The frame again, if this is one.
    pub fn to_frame(&self, offset: u64) -> Option<Frame> {
        let (payload, received, channel) = match self {
            Self::Event { .. } => return None,
            Self::Text { raw, received, channel } => (Bytes::copy_from_slice(raw.as_bytes()), received, channel),
            Self::Binary {
                raw_hex,
                received,
                channel,
            } => (from_hex(raw_hex)?, received, channel),
        };
        Some(Frame {
            offset,
            received: *received,
            channel: channel.as_deref().map(Into::into),
            payload,
        })
    }
}

fn from_hex(text: &str) -> Option<Bytes> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_payload_comes_back() {
        for payload in [&b"{\"x\":1}"[..], &[0xff, 0x00, 0x80], b""] {
            let frame = Frame::new(7, Bytes::copy_from_slice(payload))
                .received(Timestamp::from_nanos(1))
                .channel("ws");
            let letter = Payload::of_frame(&frame);
            let json = serde_json::to_string(&letter).unwrap();
            let read: Payload = serde_json::from_str(&json).unwrap();
            assert_eq!(read.to_frame(7), Some(frame));
        }
    }
}
