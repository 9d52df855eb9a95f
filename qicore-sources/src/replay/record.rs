//! The capture format: one JSON object a line, a header first.

use std::borrow::Cow;

use bytes::Bytes;
use qicore_data::{Error, Frame, Result, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::damaged;

/// The newest format that is known.
const FORMAT: u64 = 2;

/// The first line of a recording.
#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default = "newest")]
    format: u64,
    /// The venue, as its recorder names it.
    pub(super) exchange: String,
}

fn newest() -> u64 {
    FORMAT
}

impl Header {
    /// Reads a first line; `None` if it is no header at all.
    pub(super) fn read(line: &[u8]) -> Option<Result<Self>> {
        let kind: Kind<'_> = serde_json::from_slice(line).ok()?;
        if kind.t != "header" {
            return None;
        }
        Some(match serde_json::from_slice::<Self>(line) {
            Ok(header) if header.format <= FORMAT => Ok(header),
            Ok(header) => {
                let message = format!(
                    "recordings of format {} are not known, up to {FORMAT} are",
                    header.format
                );
                Err(Error::config("replay.header", message))
            }
            Err(error) => Err(Error::config(
                "replay.header",
                format!("the header is damaged: {error}"),
            )),
        })
    }
}

/// A record's kind and connection, without its payload.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(borrow)]
    pub(super) t: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) conn: Cow<'a, str>,
}

impl<'a> Kind<'a> {
    /// Reads them from the beginning of a line as recorders write it, else by reading the whole line.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        Self::at_start(line).or_else(|| serde_json::from_slice(line).ok())
    }

    fn at_start(line: &'a [u8]) -> Option<Self> {
        let (t, rest) = plain_text(line.strip_prefix(b"{\"t\":")?)?;
        let (conn, _) = plain_text(rest.strip_prefix(b",\"conn\":")?)?;
        let (t, conn) = (Cow::Borrowed(t), Cow::Borrowed(conn));
        Some(Self { t, conn })
    }

    pub(super) fn is_frame(&self) -> bool {
        matches!(&*self.t, "recv" | "http")
    }
}

/// A JSON string without escapes, and what follows it.
fn plain_text(text: &[u8]) -> Option<(&str, &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    let rest = text[end..].strip_prefix(b"\"")?;
    Some((std::str::from_utf8(&text[..end]).ok()?, rest))
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(borrow, default)]
    conn: Cow<'a, str>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    data: Option<String>,
    b64: Option<String>,
    url: Option<String>,
}

/// What a line holds.
pub(super) enum Entry<'a> {
    /// A payload received on a connection.
    Frame(Cow<'a, str>, Frame),
    /// A connection was made.
    Connect(Cow<'a, str>, Option<Timestamp>),
    /// Nothing that was received: a header, a message sent.
    Other,
}

/// Reads a record.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(number: u64, line: &[u8]) -> std::result::Result<Entry<'_>, String> {
    let record: Record<'_> = serde_json::from_slice(line).map_err(|error| match error.is_eof() {
        true => format!("the record is cut at line {number}: {error}"),
        false => format!("line {number} is no record: {error}"),
    })?;
    match &*record.t {
        "connect" if record.conn.is_empty() => return Ok(Entry::Other),
        "recv" | "http" | "connect" => {}
        "header" | "send" => return Ok(Entry::Other),
        other => return Err(format!("line {number}: records of kind {other:?} are not known")),
    }
    if record.conn.is_empty() {
        return Err(format!("line {number}: the record has no conn"));
    }
    if damaged::is_reserved(&record.conn) {
        return Err(format!(
            "line {number}: the name {:?} of its conn is reserved",
            record.conn
        ));
    }
    let received = match record.ts {
        Some(ts) => {
            let at = Timestamp::from_decimal_secs(ts.get());
            Some(at.map_err(|error| format!("line {number}: ts: {error}"))?)
        }
        None => None,
    };
    if record.t == "connect" {
        return Ok(Entry::Connect(record.conn, received));
    }
    let payload = match (record.data, record.b64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(text)) => {
            Bytes::from(from_base64(&text).ok_or_else(|| format!("line {number}: b64 is not base64"))?)
        }
        _ => return Err(format!("line {number}: a record has either data or b64")),
    };
    let mut frame = Frame::new(number, payload);
    frame.received = received;
    frame.channel = record.url.map(Into::into);
    Ok(Entry::Frame(record.conn, frame))
}

/// Reads base64 with the standard alphabet (RFC 4648, 4), padded or not.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | u32::from(sextet(*digit)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        // RFC 4648, 10.
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmE=", "fooba"),
        ] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(from_base64("/+8"), Some(vec![0xff, 0xef]));
        for text in ["Z", "Zg===", "Z*==", "Zm9vY", "Z=g="] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn kinds_by_their_beginning_and_by_the_whole() {
        for line in [
            r#"{"t":"recv","conn":"K.1","ts":1.5,"data":"{\"t\":\"http\"}"}"#,
            r#"{ "conn": "K.1", "data": "x", "t": "recv" }"#,
            r#"{"t":"recv","conn":"\u004b.1","data":"x"}"#,
        ] {
            let kind = Kind::of(line.as_bytes()).unwrap();
            assert_eq!((&*kind.t, &*kind.conn), ("recv", "K.1"), "{line}");
        }
        assert!(Kind::of(b"{\"t\":\"re").is_none());
    }

    #[test]
    fn times_are_read_from_their_text() {
        let line = br#"{"t":"recv","conn":"c","ts":1618678132.123456789,"data":"x"}"#;
        let Ok(Entry::Frame(_, frame)) = read(1, line) else {
            panic!()
        };
        assert_eq!(frame.received, Some(Timestamp::from_nanos(1_618_678_132_123_456_789)));
    }

    #[test]
    fn faults_are_told() {
        for (line, told) in [
            (&br#"{"t":"recv","conn":"c","ts":1,"da"#[..], "cut at line 7"),
            (br#"{"t":"recv","conn":"c","data":5}"#, "invalid type"),
            (
                br#"{"t":"recv","conn":"c","ts":"noon","data":""}"#,
                "malformed timestamp",
            ),
            (
                br#"{"t":"recv","conn":"c","ts":1e400,"data":""}"#,
                "malformed timestamp",
            ),
            (br#"{"t":"recv","conn":"c"}"#, "either data or b64"),
            (
                br#"{"t":"recv","conn":"c","data":"","b64":"Zg=="}"#,
                "either data or b64",
            ),
            (br#"{"t":"recv","conn":"c","b64":"!"}"#, "not base64"),
            (br#"{"t":"recv","data":""}"#, "no conn"),
            (br#"{"t":"recv","conn":"damaged records","data":""}"#, "is reserved"),
            (
                br#"{"t":"recv","conn":"wss://a/damaged records","data":""}"#,
                "is reserved",
            ),
            (br#"{"t":"receive","conn":"c","data":""}"#, "\"receive\" are not known"),
            (b"\xff\xfe", "no record"),
            (b"[]", "no record"),
        ] {
            let error = read(7, line).err().unwrap_or_default();
            assert!(error.contains(told), "{error}");
        }
        assert!(read(7, "[".repeat(100_000).as_bytes()).is_err());
    }
}
