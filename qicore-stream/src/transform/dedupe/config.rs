use serde::Deserialize;

/// What `dedupe` remembers.
///
/// ```
/// use qicore_data::Settings;
/// use qicore_stream::transform::DedupeConfig;
/// let file = Settings::parse("window = 20000\ntrades_without_id = true")?;
/// let config = DedupeConfig::default().window(20_000).trades_without_id(true);
/// assert_eq!(file.read::<DedupeConfig>()?, config);
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DedupeConfig {
    /// How many keys are remembered per lane and kind of event; the oldest is forgotten first. Default 100,000.
    ///
    /// A key takes about 50 bytes of memory and 33 of every checkpoint. Trades with consecutive ids take a 64th of that.
    pub window: usize,
    /// Whether trades without an id are duplicates if time, price, size and side are the same. Default no: one order
    /// that fills two resting orders of the same size gives two genuine prints that look alike, and losing one is
    /// worse than keeping one too many.
    pub trades_without_id: bool,
}

impl Default for DedupeConfig {
    fn default() -> Self {
        Self {
            window: 100_000,
            trades_without_id: false,
        }
    }
}

impl DedupeConfig {
    /// Sets how many keys are remembered per lane and kind of event.
    #[must_use]
    pub fn window(mut self, keys: usize) -> Self {
        self.window = keys;
        self
    }

    /// Sets whether trades without an id are told apart by their content.
    #[must_use]
    pub fn trades_without_id(mut self, by_content: bool) -> Self {
        self.trades_without_id = by_content;
        self
    }
}
