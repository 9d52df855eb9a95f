//! A hash that is the same in every process, on every machine, in every version.

/// FNV-1a, 64 bits. For names and marks that are stored (file names, snapshots, ids of dead letters), where the standard
/// library's hashers may change; not against hostile input.
///
/// ```
/// use qicore_data::StableHash;
/// assert_eq!(StableHash::of(b"a"), 0xaf63_dc4c_8601_ec8c);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct StableHash(u64);

impl Default for StableHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl StableHash {
    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.write(bytes);
        hash.finish()
    }

    /// Takes in more bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    }

    /// The hash of all bytes taken in.
    pub fn finish(self) -> u64 {
        self.0
    }

    /// Both halves in one, as eight hexadecimal digits: enough to tell names apart.
    pub fn short(self) -> String {
        format!("{:08x}", (self.0 >> 32) ^ (self.0 & 0xffff_ffff))
    }
}
