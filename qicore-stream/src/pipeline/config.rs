//! A pipeline from its TOML description.

use std::path::PathBuf;
use std::sync::Arc;

use qicore_data::{BatchPolicy, DeadLetters, Mistake, Mistakes, Registry, RetryPolicy, Settings, Source, Tables};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::tables;
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

    /// `dead_letters` is a path, which is read with the head, or a table that describes a store.
    fn dead_letters(&mut self, document: &mut Settings, registry: &Registry) -> Option<Arc<dyn DeadLetters>> {
        let is_store = document.has_table("dead_letters");
        let section = is_store
            .then(|| self.keep(document.take_section("dead_letters")))
            .flatten()
            .flatten();
        section.and_then(|section| self.keep(registry.dead_letter_store(section)))
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
    let tables = mistakes.keep(document.take_sections("table")).unwrap_or_default();
    let transforms = mistakes.keep(document.take_sections("transform")).unwrap_or_default();
    let sinks = mistakes.keep(document.take_sections("sink")).unwrap_or_default();
    let options = mistakes.options(&mut document).unwrap_or_default();
    let letters = mistakes.dead_letters(&mut document, registry);
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
    let mut names: Vec<String> = Vec::new();
    for section in tables {
        let (name, source) = table(section, registry, &names, &mut mistakes);
        if let (Some(name), Some(source)) = (&name, source) {
            builder = builder.boxed_table(name, source);
        }
        names.extend(name);
    }
    // Those whose source has a mistake are there as well: who refers to them makes none.
    let tables = Tables::new(names);
    for section in transforms {
        let place = section.clone();
        if let Some(new) = mistakes.keep(registry.transform(section)) {
            mistakes.keep(tables::check(&new, &tables).map_err(|error| place.mistake_of(&error)));
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
    if let Some(letters) = letters {
        builder = builder.dead_letters_to(letters);
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

/// A table's name and source, as far as there is no mistake in them.
fn table(
    mut section: Settings,
    registry: &Registry,
    before: &[String],
    mistakes: &mut Gather,
) -> (Option<String>, Option<Box<dyn Source>>) {
    let name = mistakes.keep(section.take_str("name"));
    let name = name.map(Option::unwrap_or_default).and_then(|name| {
        let bad = tables::bad_name(&name, before.iter().map(String::as_str));
        let checked = bad.map_or(Ok(name), |message| Err(section.mistake_in("name", message)));
        mistakes.keep(checked)
    });
    (name, mistakes.keep(registry.source(section)))
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
