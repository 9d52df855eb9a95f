//! `qicore schema`: what a store's sink makes of a database, as a script.

use std::process::ExitCode;

use qicore::Result;

use crate::args::{Schema, TimescaleSchema};

pub(crate) fn print(store: &Schema) -> Result<ExitCode> {
    match store {
        Schema::Timescale(args) => timescale(args),
    }
}

#[cfg(not(feature = "timescale"))]
fn timescale(_args: &TimescaleSchema) -> Result<ExitCode> {
    let message = "timescale is not compiled in: build with --features timescale";
    Err(qicore::Error::config("schema", message))
}

#[cfg(feature = "timescale")]
fn timescale(args: &TimescaleSchema) -> Result<ExitCode> {
    use qicore::stores::timescale::{Flavour, Tables, roles, script};

    use crate::args::SchemaMode;
    use crate::{commands, report};

    let mut tables = Tables::default();
    if let Some(path) = &args.pipeline {
        let found = of_pipeline(&commands::read(path)?);
        match found {
            Ok(Some(found)) => tables = found,
            Ok(None) => {
                let message = "the pipeline has no sink of type \"timescale\"";
                return Err(qicore::Error::config("schema", message).with("path", path.display()));
            }
            Err(mistakes) => return Ok(report::mistakes(path, &mistakes)),
        }
        tables.check()?;
    }
    let flavour = match args.mode {
        SchemaMode::Timescale => Flavour::Timescale { community: true },
        SchemaMode::TimescaleApache => Flavour::Timescale { community: false },
        SchemaMode::Plain => Flavour::Plain,
    };
    report::output(&match args.roles {
        true => roles(&tables),
        false => script(&tables, flavour, i32::from(args.from)),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The tables of the first timescale sink of a pipeline file. Its secrets are not needed, and not asked for.
#[cfg(feature = "timescale")]
fn of_pipeline(text: &str) -> Result<Option<qicore::stores::timescale::Tables>, qicore::Mistakes> {
    let mut document = qicore::Settings::parse(text)?;
    for mut sink in document.take_sections("sink")? {
        if sink.take_str("type")?.as_deref() == Some("timescale") {
            return match sink.take_section("tables")? {
                Some(tables) => tables.read().map(Some),
                None => Ok(Some(Default::default())),
            };
        }
    }
    Ok(None)
}
