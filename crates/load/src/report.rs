//! What a load took, for people and for programs.

use crate::args::Output;
use crate::histogram::Histogram;
use crate::population::Told;
use crate::process::Used;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The result of one load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Which load.
    pub mode: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// Signed-in users.
    pub users: usize,
    /// Users that should have taken part and did not sign in.
    pub missing: usize,
    /// How the users were signed in before the measurement; absent if that is what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Seconds measured.
    pub seconds: f64,
    /// How many were done in that time.
    pub done: u64,
    /// How many per second.
    pub rate: f64,
    /// How long each took; absent where nothing is waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latencies: Vec<Latency>,
    /// What went wrong, and how often, since the beginning.
    pub errors: BTreeMap<String, u64>,
    /// What the watched processes used, per unit.
    pub processes: Vec<Used>,
    /// CPU microseconds of this tool per unit.
    pub client_cpu_us_each: f64,
    /// What became of publications, in a load of presence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<Told>,
    /// The same bytes through a relay that does no protocol work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Box<Report>>,
}

/// Signing in all users, at the pace of the command line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setup {
    /// Seconds from the first to the last.
    pub seconds: f64,
    /// Sign-ins per second.
    pub rate: f64,
    /// Sign-ins that the server refused for now (503 with Retry-After) and that were tried again.
    pub put_off: usize,
    /// How long each of those took that succeeded.
    pub latency: Latency,
}

/// How long something took, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    /// What.
    pub of: &'static str,
    /// How many were measured.
    pub count: u64,
    /// Half of them took less.
    pub p50_ms: f64,
    /// Ninety-nine in a hundred took less.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// The figures of a histogram.
    pub(crate) fn of(of: &'static str, histogram: &Histogram) -> Self {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        Self {
            of,
            count: histogram.count(),
            p50_ms: millis(histogram.quantile(0.5)),
            p99_ms: millis(histogram.quantile(0.99)),
            max_ms: millis(histogram.longest()),
        }
    }
}

impl Latency {
    fn text(&self) -> String {
        let Self {
            of,
            count,
            p50_ms,
            p99_ms,
            max_ms,
        } = self;
        format!("  {of:<16} p50 {p50_ms:8.2} ms   p99 {p99_ms:8.2} ms   max {max_ms:8.2} ms   ({count})")
    }
}

impl Report {
    /// Whether all took part who should have, and watchers know in the end what was published.
    ///
    /// # Errors
    /// Somebody did not sign in: the figures are those of a smaller load. Or a watcher was left with what is out of date.
    pub(crate) fn check(&self) -> Result<()> {
        let (users, missing) = (self.users, self.missing);
        ensure!(
            missing == 0,
            "{missing} of {} users did not sign in",
            users + missing
        );
        if let Some(told) = &self.presence {
            told.check()?;
        }
        self.floor.as_ref().map_or(Ok(()), |floor| floor.check())
    }

    /// Prints to the standard output.
    pub(crate) fn print(&self, output: Output) {
        match output {
            Output::Text => print!("{}", self.text()),
            Output::Json => match serde_json::to_string(self) {
                Ok(json) => println!("{json}"),
                Err(error) => eprintln!("cannot print the result: {error}"),
            },
        }
    }

    fn text(&self) -> String {
        let Self {
            mode,
            unit,
            users,
            missing,
            seconds,
            done,
            rate,
            ..
        } = self;
        let mut lines = vec![match mode {
            &"idle" => format!("{mode}: {users} users held for {seconds:.1} s"),
            _ => format!("{mode}: {users} users, {done} {unit} in {seconds:.1} s = {rate:.1}/s"),
        }];
        if *missing > 0 {
            lines.push(format!("  NOT SIGNED IN: {missing} of {} users", users + missing));
        }
        if let Some(Setup {
            seconds,
            rate,
            put_off,
            latency,
        }) = &self.setup
        {
            lines.push(format!("  signed in within {seconds:.1} s = {rate:.1}/s"));
            if *put_off > 0 {
                lines.push(format!(
                    "  put off by the server (503) and tried again: {put_off}"
                ));
            }
            lines.push(latency.text());
        }
        lines.extend(self.latencies.iter().map(Latency::text));
        lines.extend(self.presence.iter().flat_map(Told::lines));
        for used in &self.processes {
            lines.push(format!(
                "  {} ({}): {:.1} us CPU each (user {:.1}, system {:.1}), {:.0} % of a core; \
                 RSS {:.1} MiB, {:.1} KiB per connection",
                used.name,
                used.pid,
                used.cpu_us_each,
                used.user_us_each,
                used.system_us_each,
                used.cpu_share * 100.0,
                used.resident as f64 / 1048576.0,
                used.resident_each / 1024.0,
            ));
        }
        lines.push(format!("  this tool: {:.1} us CPU each", self.client_cpu_us_each));
        for (error, count) in &self.errors {
            lines.push(format!("  error: {error}: {count}"));
        }
        let mut text = lines.join("\n") + "\n";
        if let Some(floor) = &self.floor {
            text += &format!("floor, {}", floor.text());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_text_and_an_object() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(2));
        let floor = Report {
            mode: "page",
            unit: "messages",
            users: 2,
            missing: 0,
            setup: None,
            seconds: 1.0,
            done: 1,
            rate: 1.0,
            latencies: vec![Latency::of("message", &histogram)],
            errors: BTreeMap::from([("503".to_owned(), 1)]),
            processes: Vec::new(),
            client_cpu_us_each: 3.0,
            presence: None,
            floor: None,
        };
        let report = Report {
            floor: Some(Box::new(floor.clone())),
            ..floor
        };
        let text = report.text();
        assert!(
            text.contains("page: 2 users, 1 messages in 1.0 s = 1.0/s"),
            "{text}"
        );
        assert!(
            text.contains("floor, page") && text.contains("error: 503: 1"),
            "{text}"
        );
        assert!(
            report.check().is_ok() && !text.contains("NOT SIGNED IN"),
            "{text}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["floor"]["latencies"][0]["count"], 1);

        let report = Report { missing: 3, ..report };
        assert!(
            report.text().contains("NOT SIGNED IN: 3 of 5 users"),
            "{}",
            report.text()
        );
        let error = report.check().unwrap_err();
        assert_eq!(error.to_string(), "3 of 5 users did not sign in");
    }
}
