//! Logging to stderr.

use std::io::{self, IsTerminal as _};

use serde::{Deserialize, Serialize};

use crate::audit::{self, AuditFile};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, ParseError, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::{SubscriberInitExt as _, TryInitError},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The level is not in the syntax of a filter.
    #[error("cannot read the log level `{level}`; say e.g. debug, or info,session=trace")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The process logs already.
    #[error("logging was set up before")]
    Twice(#[from] TryInitError),
}

/// The level when nobody says otherwise.
pub const DEFAULT_LEVEL: &str = "info";

/// Crates whose DEBUG and TRACE print header values and whole frames.
const CAPPED: [&str; 8] =
    ["h2", "hyper", "hyper_util", "tokio_tungstenite", "tonic", "tower", "tower_http", "tungstenite"];

/// Starts logging to stderr, in colour if that is a terminal and `NO_COLOR` is not set.
///
/// `level` is a filter such as `debug` or `info,session=trace`. Whatever it asks for, the crates below ours that would
/// print header values say no more than WARN.
///
/// # Errors
/// [`LogError`] if `level` is not a filter, or if logging was set up before.
pub fn init(format: Format, level: &str) -> Result<(), LogError> {
    Ok(subscriber(format, level, is_coloured(), io::stderr)?.try_init()?)
}

/// Starts logging as [`init`] does, and writes the events of the target [`audit::TARGET`] to `file` besides, at every level.
///
/// # Errors
/// Those of [`init`].
pub fn init_with_audit(format: Format, level: &str, file: AuditFile) -> Result<(), LogError> {
    Ok(audited(format, level, is_coloured(), io::stderr, file)?.try_init()?)
}

fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Each of the two has a filter of its own, which costs every event a little; hence only where it is asked for.
fn audited<W>(
    format: Format,
    level: &str,
    colour: bool,
    writer: W,
    file: AuditFile,
) -> Result<impl Subscriber, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = parse(level)?.and(filter_fn(is_harmless));
    let lines = lines(format, colour, writer).with_filter(filter);
    let records = fmt::layer().with_ansi(false).with_writer(file).json();
    let records = records.flatten_event(true).with_current_span(false).with_span_list(false);
    let records = records.with_filter(filter_fn(|metadata| metadata.target() == audit::TARGET));
    Ok(tracing_subscriber::registry().with(lines).with(records))
}

/// What [`init`] sets up, writing to `writer`: for those who want to see what a log would hold.
///
/// # Errors
/// [`LogError::Level`].
pub fn subscriber<W>(
    format: Format,
    level: &str,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = lines(format, colour, writer);
    Ok(tracing_subscriber::registry().with(filter_fn(is_harmless)).with(parse(level)?).with(lines))
}

fn parse(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|source| LogError::Level { level: level.to_owned(), source })
}

fn lines<S, W>(format: Format, colour: bool, writer: W) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_ansi(colour).with_writer(writer);
    match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// A filter of its own, since in [`EnvFilter`] a more specific directive such as `h2::codec=trace` would win.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::WARN || !CAPPED.contains(&name)
}

#[cfg(test)]
mod tests;
