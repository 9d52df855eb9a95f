//! Control messages of a WebSocket connection, for the client that holds it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::excerpt;
use super::wire::rest::Envelope;

/// What the venue says about the connection itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Control {
    /// The request with this id was served.
    Ack {
        /// The client's id of the request.
        id: u64,
    },
    /// A request was refused. Without an id the venue could not read one.
    Refused {
        /// The client's id of the request.
        id: Option<u64>,
        /// The venue's text, at most 300 characters, and its code.
        message: String,
    },
    /// The server goes down soon: connect anew.
    Shutdown,
}

/// The control message that a text is; `None` where it is data, or nothing that the venue sends.
///
/// Errors come in two forms, `{"error":{"code":…,"msg":…},"id":…}` and the older `{"code":…,"msg":…}`.
pub(crate) fn control(text: &str) -> Option<Control> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let id = message.id.as_ref().and_then(Id::number);
    let envelope = match (message.error, message.code, message.msg) {
        (Some(envelope), _, _) => Some(envelope),
        (None, Some(code), Some(msg)) => Some(Envelope { code, msg }),
        _ => None,
    };
    if let Some(Envelope { code, msg }) = envelope {
        let message = format!("{:?} (code {code})", excerpt(&msg));
        return Some(Control::Refused { id, message });
    }
    match message.event.as_deref() {
        Some("serverShutdown") => return Some(Control::Shutdown),
        Some(_) => return None,
        None => {}
    }
    // Null where there is nothing to say but yes, else what was asked for, as the list of subscriptions.
    let id = id.filter(|_| message.result)?;
    Some(Control::Ack { id })
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, deserialize_with = "present")]
    result: bool,
    #[serde(borrow)]
    error: Option<Envelope<'a>>,
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "e")]
    event: Option<Cow<'a, str>>,
    id: Option<Id>,
}

/// A request's id. Those of this client are numbers; another's may be texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Other(IgnoredAny),
}

impl Id {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(id) => Some(*id),
            Self::Other(_) => None,
        }
    }
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    super::wire::Present::deserialize(deserializer).map(|present| present.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(id: Option<u64>, message: &str) -> Option<Control> {
        let message = message.to_owned();
        Some(Control::Refused { id, message })
    }

    #[test]
    fn acknowledgements() {
        let ack = |id| Some(Control::Ack { id });
        assert_eq!(control(r#"{"result":null,"id":1}"#), ack(1));
        assert_eq!(
            control(r#"{ "id": 18446744073709551615, "result": null }"#),
            ack(u64::MAX)
        );
        assert_eq!(control(r#"{"result":["btcusdt@depth"],"id":3}"#), ack(3));
    }

    #[test]
    fn refusals() {
        let invalid = "\"Invalid request\" (code 2)";
        for (text, id) in [
            (r#"{"error":{"code":2,"msg":"Invalid request"},"id":7}"#, Some(7)),
            (
                r#"{"id":7,"error":{"msg":"Invalid request","code":2,"data":{}}}"#,
                Some(7),
            ),
            (r#"{"error":{"code":2,"msg":"Invalid request"},"id":null}"#, None),
            (r#"{"error":{"code":2,"msg":"Invalid request"},"id":"abc"}"#, None),
            (r#"{"code":2,"msg":"Invalid request"}"#, None),
            (r#"{"code":2,"msg":"Invalid request","id":7}"#, Some(7)),
        ] {
            assert_eq!(control(text), refused(id, invalid), "{text}");
        }
        let long = format!(r#"{{"code":2,"msg":"{}"}}"#, "é".repeat(100_000));
        assert!(matches!(control(&long), Some(Control::Refused { message, .. }) if message.len() < 700));
    }

    #[test]
    fn a_server_that_goes_down() {
        assert_eq!(
            control(r#"{"e":"serverShutdown","E":1770123456789}"#),
            Some(Control::Shutdown)
        );
    }

    #[test]
    fn anything_else() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            "{}",
            r#"{"result":null}"#,
            r#"{"id":1}"#,
            r#"{"result":null,"id":"abc"}"#,
            r#"{"result":null,"id":-1}"#,
            r#"{"result":null,"id":1.5}"#,
            r#"{"result":null,"id":1"#,
            r#"{"code":2}"#,
            r#"{"code":"2","msg":"Invalid request"}"#,
            r#"{"error":"no","id":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true}"#,
            r#"{"stream":"btcusdt@trade","data":{"e":"trade"}}"#,
            r#"{"u":1,"s":"BNBUSDT","b":"1","B":"1","a":"1","A":"1"}"#,
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#,
        ] {
            assert_eq!(control(text), None, "{text}");
        }
    }
}
