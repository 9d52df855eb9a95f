//! `qicore schema`: what a store's sink makes of a database, as a script, and what messages are.

use std::process::ExitCode;

use qicore::{Error, Result};

use crate::args::{ClickhouseSchema, JsonSchema, Schema, TimescaleSchema};
#[cfg(any(feature = "clickhouse", feature = "timescale"))]
use crate::commands;
#[cfg(any(feature = "clickhouse", feature = "messages", feature = "timescale"))]
use crate::report;

pub(crate) fn print(store: &Schema) -> Result<ExitCode> {
    match store {
        Schema::Clickhouse(args) => clickhouse(args),
        Schema::Timescale(args) => timescale(args),
        Schema::Json(args) => json(args),
    }
}

#[cfg(not(feature = "clickhouse"))]
fn clickhouse(_args: &ClickhouseSchema) -> Result<ExitCode> {
    not_compiled_in("clickhouse")
}

#[cfg(feature = "clickhouse")]
fn clickhouse(args: &ClickhouseSchema) -> Result<ExitCode> {
    use qicore::stores::clickhouse::{Tables, VERSION, roles, script};

    let tables = match tables::<Tables>(args.pipeline.as_deref(), "clickhouse")? {
        Ok(tables) => tables,
        Err(mistaken) => return Ok(mistaken),
    };
    tables.check()?;
    report::output(&match args.roles {
        true => roles(&tables),
        false => script(&tables, version(args.from, VERSION)?),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "timescale"))]
fn timescale(_args: &TimescaleSchema) -> Result<ExitCode> {
    not_compiled_in("timescale")
}

#[cfg(feature = "timescale")]
fn timescale(args: &TimescaleSchema) -> Result<ExitCode> {
    use qicore::stores::timescale::{Flavour, Tables, VERSION, roles, script};

    use crate::args::SchemaMode;

    let tables = match tables::<Tables>(args.pipeline.as_deref(), "timescale")? {
        Ok(tables) => tables,
        Err(mistaken) => return Ok(mistaken),
    };
    tables.check()?;
    let flavour = match args.mode {
        SchemaMode::Timescale => Flavour::Timescale { community: true },
        SchemaMode::TimescaleApache => Flavour::Timescale { community: false },
        SchemaMode::Plain => Flavour::Plain,
    };
    report::output(&match args.roles {
        true => roles(&tables),
        false => script(&tables, flavour, version(args.from, VERSION)?),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "messages"))]
fn json(_args: &JsonSchema) -> Result<ExitCode> {
    not_compiled_in("messages")
}

#[cfg(feature = "messages")]
fn json(args: &JsonSchema) -> Result<ExitCode> {
    use qicore::stores::messages::schema;

    let told = match args.message.as_deref() {
        Some(name) => schema::named(name)?,
        None => schema::all()
            .into_iter()
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect(),
    };
    report::output(&format!("{told:#}"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(all(feature = "clickhouse", feature = "messages", feature = "timescale")))]
fn not_compiled_in(feature: &str) -> Result<ExitCode> {
    let message = format!("{feature} is not compiled in: build with --features {feature}");
    Err(Error::config("schema", message))
}

/// The version that a database has.
#[cfg(any(feature = "clickhouse", feature = "timescale"))]
fn version<T: From<u16> + PartialOrd + std::fmt::Display>(from: u16, last: T) -> Result<T> {
    if T::from(from) <= last {
        return Ok(T::from(from));
    }
    let message = format!("--from {from}: the last version of the schema is {last}");
    Err(Error::config("schema", message))
}

/// The tables of the first sink of a type in a pipeline file, or the defaults where there is no file; or the exit status
/// once its mistakes have been told. Its secrets are not needed, and not asked for.
#[cfg(any(feature = "clickhouse", feature = "timescale"))]
fn tables<T: serde::de::DeserializeOwned + Default>(
    pipeline: Option<&std::path::Path>,
    sink: &str,
) -> Result<std::result::Result<T, ExitCode>> {
    let Some(path) = pipeline else {
        return Ok(Ok(T::default()));
    };
    match of_pipeline(&commands::read(path)?, sink) {
        Ok(Some(found)) => Ok(Ok(found)),
        Ok(None) => {
            let message = format!("the pipeline has no sink of type {sink:?}");
            Err(Error::config("schema", message).with("path", path.display()))
        }
        Err(mistakes) => Ok(Err(report::mistakes(path, &mistakes))),
    }
}

#[cfg(any(feature = "clickhouse", feature = "timescale"))]
fn of_pipeline<T: serde::de::DeserializeOwned + Default>(
    text: &str,
    wanted: &str,
) -> std::result::Result<Option<T>, qicore::Mistakes> {
    let mut document = qicore::Settings::parse(text)?;
    for mut sink in document.take_sections("sink")? {
        if sink.take_str("type")?.as_deref() == Some(wanted) {
            return match sink.take_section("tables")? {
                Some(tables) => tables.read().map(Some),
                None => Ok(Some(T::default())),
            };
        }
    }
    Ok(None)
}
