//! Where log lines go and what they look like.

use std::fmt;
use std::io;
use std::str::FromStr;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FmtSpan, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::otlp::Exporter;
use crate::trace;

/// What a log line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people, on standard error: standard output is left to what the program has to say.
    #[default]
    Text,
    /// One JSON object per line, on standard output, where the ready line is one of them.
    Json,
}

impl LogFormat {
    /// The word on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = InitError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(InitError::Format(other.to_owned())),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Not a format.
    #[error("log format `{0}` is neither `text` nor `json`")]
    Format(String),
    /// Not a filter.
    #[error("log filter `{filter}` is not understood: {problem}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up in this process")]
    Twice,
}

/// Checks a filter without installing it: `info`, or `info,sip_transport=debug`.
///
/// # Errors
/// [`InitError::Filter`] if the filter cannot be read.
fn parse_filter(filter: &str) -> Result<EnvFilter, InitError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|problem| InitError::Filter {
            filter: filter.to_owned(),
            problem: problem.to_string(),
        })
}

/// Starts logging for the whole process. `filter` is a level or a list of `target=level`, as in `telemetry.log`; the value
/// returned changes it later. With an `exporter`, the lines at `info` and above that pass the filter also go to a collector.
///
/// # Errors
/// A filter that cannot be read; a second call in one process.
pub fn init_logging(
    format: LogFormat,
    filter: &str,
    exporter: Option<&Exporter>,
) -> Result<LogFilter, InitError> {
    let (filter, handle) = reload::Layer::new(parse_filter(filter)?);
    let sent = exporter.map(|exporter| exporter.log_layer().with_filter(LevelFilter::INFO));
    let registry = tracing_subscriber::registry().with(filter).with(sent);
    let lines = layer().with_span_events(FmtSpan::NONE);
    let installed = match format {
        LogFormat::Text => registry
            .with(
                lines
                    .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
                    .with_writer(io::stderr),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .map_event_format(WithTrace)
                    .with_writer(io::stdout),
            )
            .try_init(),
    };
    installed
        .map(|()| LogFilter(handle))
        .map_err(|_| InitError::Twice)
}

/// A JSON line with `trace_id` and `span_id` where it is written within a recorded request.
struct WithTrace<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = trace::current_ids() else {
            return self.0.format_event(ctx, out, event);
        };
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => writeln!(out, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}"),
            None => out.write_str(&line),
        }
    }
}

/// Changes what is logged while the process runs.
#[derive(Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Puts another filter in the place of the present one.
    ///
    /// # Errors
    /// [`InitError::Filter`] if it cannot be read: the present one stays.
    pub fn set(&self, filter: &str) -> Result<(), InitError> {
        self.0
            .reload(parse_filter(filter)?)
            .map_err(|problem| InitError::Filter {
                filter: filter.to_owned(),
                problem: problem.to_string(),
            })
    }
}

/// Writes panics as log lines at error level: a panic of a task is a defect of ours, and must not be seen only by
/// whoever watches standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(thread, "panicked at {location}: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_its_text() {
        let error = parse_filter("sip_transport=loud").unwrap_err();
        assert!(error.to_string().contains("sip_transport=loud"), "{error}");
        assert!(parse_filter("info,sip_transport=debug").is_ok());
    }

    #[test]
    fn the_filter_can_be_changed_while_the_process_runs() {
        // One process has one logger: this is the only test that starts it.
        let filter = init_logging(LogFormat::Text, "info", None).unwrap();
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        filter.set("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(filter.set("loud=maybe").is_err());
        assert!(
            tracing::enabled!(tracing::Level::DEBUG),
            "a filter that is none changes nothing"
        );
        assert!(matches!(
            init_logging(LogFormat::Text, "info", None),
            Err(InitError::Twice)
        ));
    }

    #[test]
    fn formats_are_read_by_the_word_they_print() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.as_str().parse::<LogFormat>().unwrap(), format);
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
