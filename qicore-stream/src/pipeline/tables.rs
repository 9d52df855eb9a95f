use qicore_data::{Error, NewTransform, Result, Source, Tables};

/// The source of a table, by the table's name.
pub(crate) struct TableSource {
    pub(crate) name: String,
    pub(crate) source: Box<dyn Source>,
}

/// Why a table cannot have this name beside those before it.
pub(super) fn bad_name<'a>(name: &str, mut before: impl Iterator<Item = &'a str>) -> Option<String> {
    if name.trim().is_empty() {
        return Some("the table has no name: transforms refer to it by its name".to_owned());
    }
    before
        .any(|other| other == name)
        .then(|| format!("there is another table {name:?}"))
}

/// The tables of these names, still empty, and the sources in the order in which they are counted.
pub(super) fn tables(sources: &mut [TableSource]) -> Result<Tables> {
    for (at, table) in sources.iter().enumerate() {
        let before = sources[..at].iter().map(|table| table.name.as_str());
        if let Some(message) = bad_name(&table.name, before) {
            return Err(Error::config("pipeline.build", message));
        }
    }
    sources.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(Tables::new(sources.iter().map(|table| table.name.as_str())))
}

/// Whether a transform finds its tables. Its error tells which setting names the wrong one.
pub(super) fn check(new: &NewTransform, tables: &Tables) -> Result<()> {
    new().tables(tables)
}
