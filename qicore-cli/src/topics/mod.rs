//! `qicore topics`: what topics there are to be, and making them.

mod args;
#[cfg(feature = "kafka")]
mod pipelines;
#[cfg(feature = "kafka")]
mod run;
#[cfg(feature = "kafka")]
mod wanted;

pub(crate) use args::Topics;
#[cfg(feature = "kafka")]
pub(crate) use run::run;

#[cfg(not(feature = "kafka"))]
pub(crate) async fn run(_command: &Topics) -> qicore::Result<std::process::ExitCode> {
    let message = "kafka is not compiled in: build with --features kafka";
    Err(qicore::Error::config("topics", message))
}
