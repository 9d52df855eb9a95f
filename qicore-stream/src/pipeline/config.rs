//! A pipeline from its TOML description.

use std::path::PathBuf;

use qicore_data::{BatchPolicy, Mistake, Mistakes, Registry, RetryPolicy, Settings};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Options, Pipeline, PipelineBuilder, SinkOptions};
use crate::breaker::BreakerPolicy;

/// What stands at the top of the file, beside the sections.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    dead_letters: Option<PathBuf>,
    checkpoints: Option<PathBuf>,
}

/// Gathers mistakes, so that one reading tells them all.
#[derive(Default)]
struct Gather(Vec<Mistake>);

impl Gather {
    fn keep<T>(&mut self, result: Result<T, Mistakes>) -> Option<T> {
        result.map_err(|mistakes| self.0.extend(mistakes.0)).ok()
    }

    /// Takes a table out of a section and reads it.
    fn part<T: DeserializeOwned>(&mut self, section: &mut Settings, key: &str) -> Option<T> {
        let part = self.keep(section.take_section(key)).flatten()?;
        self.keep(part.read())
    }

    fn options(&mut self, document: &mut Settings) -> Option<Options> {
        let section = self.keep(document.take_section("options")).flatten()?;
        let options: Options = self.keep(section.read())?;
        if let Some(limit) = options.zero_limit() {
            self.0
                .extend(section.mistake_in(limit, format!("{limit} must be greater than 0")).0);
        }
        Some(options)
    }

    fn head(&mut self, document: &Settings) -> Option<Head> {
        let head: Head = self.keep(document.read())?;
        if head.name.trim().is_empty() {
            self.0.extend(document.mistake_in("name", "the name is empty").0);
        }
        Some(head)
    }
}

pub(super) fn read(text: &str, registry: &Registry) -> Result<Pipeline, Mistakes> {
    let mut document = Settings::parse(text)?;
    let mut mistakes = Gather::default();
    let source = mistakes.keep(document.take_section("source")).flatten();
    let transforms = mistakes.keep(document.take_sections("transform")).unwrap_or_default();
    let sinks = mistakes.keep(document.take_sections("sink")).unwrap_or_default();
    let options = mistakes.options(&mut document).unwrap_or_default();
    let head = mistakes.head(&document);

    let mut builder = PipelineBuilder::new(head.as_ref().map_or_else(String::new, |head| head.name.clone()));
    match source {
        None => mistakes.0.push(Mistake {
            line: 1,
            message: "no [source]".into(),
        }),
        Some(section) => {
            if let Some(source) = mistakes.keep(registry.source(section)) {
                builder = builder.boxed_source(source);
            }
        }
    }
    for section in transforms {
        if let Some(new) = mistakes.keep(registry.transform(section)) {
            builder = builder.new_transform(new);
        }
    }
    if sinks.is_empty() {
        mistakes.0.push(Mistake {
            line: 1,
            message: "no [[sink]]".into(),
        });
    }
    for mut section in sinks {
        let options = sink_options(&mut section, &mut mistakes);
        if let Some(sink) = mistakes.keep(registry.sink(section)) {
            builder = builder.sink_with(sink, options);
        }
    }
    mistakes.0.sort_by_key(|mistake| mistake.line);
    let (Some(head), true) = (head, mistakes.0.is_empty()) else {
        return Err(Mistakes(mistakes.0));
    };
    finish(builder.options(options), head).map_err(|error| document.mistake(error.message()))
}

fn finish(mut builder: PipelineBuilder, head: Head) -> qicore_data::Result<Pipeline> {
    if let Some(path) = head.dead_letters {
        builder = builder.dead_letters(path);
    }
    if let Some(folder) = head.checkpoints {
        builder = builder.checkpoints(folder);
    }
    builder.build()
}

/// Takes out of a sink's section what the pipeline reads; the rest is the plugin's.
fn sink_options(section: &mut Settings, mistakes: &mut Gather) -> SinkOptions {
    let mut options = SinkOptions {
        name: mistakes.keep(section.take_str("name")).flatten(),
        ..SinkOptions::default()
    };
    options.batch = mistakes.part::<BatchPolicy>(section, "batch");
    options.retry = mistakes.part::<RetryPolicy>(section, "retry");
    options.breaker = mistakes.part::<BreakerPolicy>(section, "breaker").unwrap_or_default();
    options
}

impl SinkOptions {
    /// Takes out of a sink's section of a pipeline file what is the pipeline's, so that the plugin's own is left: for
    /// programs that look at a plugin's settings without building it.
    ///
    /// # Errors
    /// Every mistake in what is taken, with its line.
    pub fn take(section: &mut Settings) -> Result<Self, Mistakes> {
        let mut mistakes = Gather::default();
        let options = sink_options(section, &mut mistakes);
        match mistakes.0.is_empty() {
            true => Ok(options),
            false => Err(Mistakes(mistakes.0)),
        }
    }
}
