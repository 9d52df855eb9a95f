//! The pieces of the Native format, after the server's own output.

use bytes::Bytes;

/// A block that is being put together. Whole columns become a part of it without being copied.
#[derive(Debug, Default)]
pub(super) struct Parts {
    done: Vec<Bytes>,
    /// Small pieces, behind what is done.
    pub(super) small: Vec<u8>,
}

/// What is copied rather than kept apart.
const SMALL: usize = 16 << 10;

impl Parts {
    pub(super) fn push(&mut self, piece: Vec<u8>) {
        if piece.len() <= SMALL {
            self.small.extend_from_slice(&piece);
            return;
        }
        self.settle();
        self.done.push(piece.into());
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.done.push(std::mem::take(&mut self.small).into());
        }
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.settle();
        self.done
    }
}

/// A length: seven bits a byte, the lowest first.
pub(super) fn length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// A text behind its length.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// A `UInt64`.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}
