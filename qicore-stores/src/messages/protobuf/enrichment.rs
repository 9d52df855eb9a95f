//! What is known of an event beyond what its venue sent.

use std::sync::Arc;

use qicore_data::{Decimal, Enrichment, InstrumentKind, Label, Result, Timestamp};

use super::field::{Message, write};
use super::wire::Reader;

impl Message for Arc<Enrichment> {
    const NAME: &'static str = "Enrichment";

    fn write(&self, out: &mut Vec<u8>) {
        write(1, &self.validated_at, out);
        self.reasons.iter().for_each(|reason| write(2, reason, out));
        let names = [&self.native, &self.base, &self.quote, &self.quote_currency];
        (3..).zip(names).for_each(|(number, name)| write(number, name, out));
        write(7, &self.kind, out);
        write(8, &self.active, out);
        write(9, &self.price_step, out);
        write(10, &self.size_step, out);
    }

    fn read(mut reader: Reader<'_>) -> Result<Self> {
        let mut validated_at: Option<Timestamp> = None;
        let mut reasons = Vec::new();
        let mut names: [Option<Label>; 4] = Default::default();
        let mut kind: Option<InstrumentKind> = None;
        let mut active: Option<bool> = None;
        let mut steps: [Option<Decimal>; 2] = Default::default();
        const NAMES: [&str; 4] = ["native", "base", "quote", "quote_currency"];
        const STEPS: [&str; 2] = ["price_step", "size_step"];
        while let Some(key) = reader.key()? {
            match key.number {
                1 => reader.field(key, &mut validated_at, (Self::NAME, "validated_at"))?,
                2 => {
                    let mut reason: Option<Label> = None;
                    reader.field(key, &mut reason, (Self::NAME, "reasons"))?;
                    reasons.extend(reason);
                }
                number @ 3..=6 => {
                    let at = number as usize - 3;
                    reader.field(key, &mut names[at], (Self::NAME, NAMES[at]))?;
                }
                7 => reader.field(key, &mut kind, (Self::NAME, "kind"))?,
                8 => reader.field(key, &mut active, (Self::NAME, "active"))?,
                number @ 9..=10 => {
                    let at = number as usize - 9;
                    reader.field(key, &mut steps[at], (Self::NAME, STEPS[at]))?;
                }
                _ => reader.skip(key)?,
            }
        }
        let ([native, base, quote, quote_currency], [price_step, size_step]) = (names, steps);
        Ok(Self::new(Enrichment {
            validated_at,
            reasons,
            native,
            base,
            quote,
            quote_currency,
            kind,
            active,
            price_step,
            size_step,
        }))
    }
}
