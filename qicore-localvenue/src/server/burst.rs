//! Frames that are sent as fast as the socket takes them.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// A client that has subscribed may have more to say: what it asks for next is to be answered before the burst.
const QUIET: Duration = Duration::from_millis(200);

/// When a connection is sent its burst.
#[derive(Debug, Default)]
pub(super) struct Burst {
    at: Option<Instant>,
    streams: usize,
}

impl Burst {
    /// The client has said something, and is now subscribed to so many streams.
    pub(super) fn said(&mut self, streams: usize, now: Instant) {
        if streams > self.streams || self.at.is_some() {
            self.at = Some(now + QUIET);
        }
        self.streams = streams;
    }

    /// Whether its time has come; once.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }
}

/// Text messages as a server's frames, one after the other (RFC 6455, section 5.2).
pub(super) fn frames(texts: &[String]) -> Bytes {
    const HEADER: usize = 10;
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + HEADER).sum());
    for text in texts {
        // Final, text.
        bytes.push(0x81);
        match text.len() {
            length @ ..=125 => bytes.push(length as u8),
            length @ ..=0xffff => {
                bytes.push(126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_waits_until_the_client_is_quiet_and_comes_once_a_subscription() {
        let start = Instant::now();
        let mut burst = Burst::default();
        burst.said(0, start);
        assert!(!burst.take(start + QUIET));
        burst.said(2, start);
        burst.said(2, start + QUIET / 2);
        assert!(!burst.take(start + QUIET));
        assert!(burst.take(start + QUIET * 3 / 2));
        assert!(!burst.take(start + QUIET * 2));
    }

    #[test]
    fn frames_have_the_shortest_header_that_holds_their_length() {
        let heads = [(125, 2), (126, 4), (65_535, 4), (65_536, 10)];
        for (length, header) in heads {
            let bytes = frames(&["x".repeat(length)]);
            assert_eq!((bytes[0], bytes.len()), (0x81, length + header));
        }
    }
}
