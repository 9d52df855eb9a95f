//! Decimal text of integers with a scale. Everything is exact: no floats anywhere.

/// The text of `units`·10⁻`scale` with exactly `scale` decimals.
pub(crate) fn fixed(units: i128, scale: u32) -> String {
    if scale == 0 {
        return units.to_string();
    }
    let sign = if units < 0 { "-" } else { "" };
    let power = 10u128.pow(scale);
    let magnitude = units.unsigned_abs();
    format!(
        "{sign}{}.{:0width$}",
        magnitude / power,
        magnitude % power,
        width = scale as usize
    )
}

/// The same with `places` ≥ `scale` decimals, zeros added.
pub(crate) fn padded(units: i128, scale: u32, places: u32) -> String {
    let more = places.saturating_sub(scale);
    fixed(units * 10i128.pow(more), scale + more)
}

/// The shortest plain text: no trailing zeros, no exponent.
pub(crate) fn plain(units: i128, scale: u32) -> String {
    let text = fixed(units, scale);
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A JSON number as Kraken prints it: trailing zeros away, but at least one decimal.
pub(crate) fn float_like(units: i128, scale: u32) -> String {
    let text = plain(units, scale);
    if text.contains('.') { text } else { text + ".0" }
}

/// `numerator / denominator` with `scale` decimals, rounded to nearest. Zero when the denominator is zero.
pub(crate) fn ratio(numerator: i128, denominator: i128, scale: u32) -> i128 {
    if denominator == 0 {
        return 0;
    }
    let scaled = numerator * 10i128.pow(scale);
    (scaled + scaled.signum() * denominator / 2) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_the_value() {
        assert_eq!(fixed(12345, 2), "123.45");
        assert_eq!(fixed(-5, 2), "-0.05");
        assert_eq!(padded(12345, 2, 8), "123.45000000");
        assert_eq!(plain(12300, 2), "123");
        assert_eq!(plain(12310, 2), "123.1");
        assert_eq!(float_like(400, 2), "4.0");
        assert_eq!(ratio(1, 3, 4), 3333);
        assert_eq!(ratio(2, 3, 4), 6667);
    }
}
