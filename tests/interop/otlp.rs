//! Traces, metrics and logs as a collector that is not ours (rotel) reads them.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use test_support::clients::Program;
use test_support::{Dialect, Options, Sandbox, Scheme, eventually, target_dir};
use tokio::net::TcpStream;
use tokio::process::Command;

/// A collector that prints all it gets.
struct Collector {
    program: Program,
    address: SocketAddr,
}

impl Collector {
    async fn start() -> Result<Collector> {
        let address = free()?;
        let mut command = Command::new(installed()?);
        command
            .arg("start")
            .args(["--otlp-grpc-endpoint", &address.to_string()])
            .args(["--otlp-http-endpoint", &free()?.to_string()])
            .args(["--exporter", "blackhole"])
            .args([
                "--debug-log",
                "traces",
                "--debug-log",
                "metrics",
                "--debug-log",
                "logs",
            ])
            .args(["--debug-log-verbosity", "detailed", "--log-format", "json"])
            .stdin(Stdio::null());
        let program = Program::spawn("rotel", command)?;
        eventually("the collector to listen", || async {
            Ok(TcpStream::connect(address).await.ok())
        })
        .await?;
        Ok(Collector { program, address })
    }
}

/// A port nobody has at this moment.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// What tests/interop/otlp.sh has installed.
fn installed() -> Result<std::path::PathBuf> {
    let target = target_dir()?;
    let folder = target
        .parent()
        .context("no target directory")?
        .join("interop/otlp");
    let entries = std::fs::read_dir(&folder).context("run tests/interop/otlp.sh first")?;
    let program = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("rotel-agent-"));
    program.context("run tests/interop/otlp.sh first")
}

/// The value behind `label` in a line such as `    Trace ID       : 4bf9...`; `None` if it is another line.
fn field<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(label)?.trim_start();
    rest.strip_prefix(':').map(str::trim)
}

/// What the collector printed of one span or log record: its lines, up to the next item.
struct Item<'a>(Vec<&'a str>);

impl<'a> Item<'a> {
    /// The value behind a label, empty if there is none.
    fn get(&self, label: &str) -> &'a str {
        self.0
            .iter()
            .find_map(|line| field(line, label))
            .unwrap_or_default()
    }

    fn has(&self, text: &str) -> bool {
        self.0.iter().any(|line| line.trim() == text)
    }
}

/// The items that begin with this word and a number.
fn items<'a>(lines: &'a [String], word: &str) -> Vec<Item<'a>> {
    let begins = |line: &str, word: &str| line.strip_prefix(word).is_some_and(|rest| rest.starts_with(" #"));
    let mut items: Vec<Item<'a>> = Vec::new();
    let mut inside = false;
    for line in lines {
        let head = [
            "Span",
            "LogRecord",
            "Metric",
            "ResourceSpans",
            "ResourceLog",
            "ResourceMetrics",
        ];
        if head.iter().any(|head| begins(line, head)) {
            inside = begins(line, word);
            if inside {
                items.push(Item(Vec::new()));
            }
        }
        if let (true, Some(item)) = (inside, items.last_mut()) {
            item.0.push(line);
        }
    }
    items
}

fn span<'a, 'b>(spans: &'b [Item<'a>], name: &str, kind: &str) -> Result<&'b Item<'a>> {
    let found = spans
        .iter()
        .find(|span| span.get("Name") == name && span.get("Kind") == kind);
    found.with_context(|| format!("no {kind} span {name}"))
}

const SERVER: &str = "SPAN_KIND_SERVER";
const INTERNAL: &str = "SPAN_KIND_INTERNAL";
const CLIENT: &str = "SPAN_KIND_CLIENT";

#[tokio::test]
async fn a_message_is_one_trace_and_its_numbers_and_log_lines_arrive_at_a_real_collector() -> Result<()> {
    let collector = Collector::start().await?;
    let endpoint = format!("http://{}", collector.address);
    let options = Options::default()
        .set("PORTICO_TELEMETRY__OTLP_ENDPOINT", &endpoint)
        .set("PORTICO_TELEMETRY__SAMPLE_RATIO", "1")
        .set("OTEL_METRIC_EXPORT_INTERVAL", "200");
    let pool = Sandbox::with(options).await?;
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let text = amy.text(&bea.uri(), "hello");
    amy.send(&text).await?;
    bea.receive("hello").await?;
    ensure!(amy.answer_to(&text).await?.status() == Some(200));
    // A request that leaves a log line at `info`.
    let mut guessed = amy.account().clone();
    guessed.password = "a guess".to_owned();
    let mut stranger = pool.puppet(&guessed, Dialect::Simple).await?;
    stranger.try_sign_in(Scheme::Md5).await?;
    let refused = pool.log_lines("sign-in refused");
    pool.metric_reaches("portico_telemetry_exported_total", &["signal=\"metrics\""], 1.0)
        .await?;
    ensure!(pool.stop().await? == 0, "the server did not stop well");

    // The stop has sent what was left, so that all of it is there or on its way through two pipes.
    eventually("the last log line", || async {
        let last = |line: &str| {
            field(line, "Body")
                .filter(|body| *body == "Str(stopped)")
                .map(drop)
        };
        Ok(collector.program.seen(last))
    })
    .await?;
    let lines = collector.program.lines();
    one_tree(&items(&lines, "Span"))?;
    numbers(&items(&lines, "Metric"))?;
    log_line(&items(&lines, "LogRecord"), &items(&lines, "Span"), &refused)?;
    for (name, value) in [
        ("service.namespace", "portico"),
        ("service.name", "portico"),
        ("service.instance.id", "fe1"),
        ("portico.edition", "standard"),
    ] {
        let attribute = format!("-> {name}: Str({value})");
        let times = lines.iter().filter(|line| line.trim() == attribute).count();
        ensure!(times >= 3, "{attribute} stands over {times} batches");
    }
    ensure!(
        !lines
            .iter()
            .any(|line| line.contains("amy@") || line.contains("hello")),
        "a user or a text is in the telemetry"
    );
    Ok(())
}

#[tokio::test]
async fn a_message_through_a_pool_is_one_trace_over_three_processes() -> Result<()> {
    let collector = Collector::start().await?;
    let options = Options::default()
        .set(
            "PORTICO_TELEMETRY__OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        )
        .set("PORTICO_TELEMETRY__SAMPLE_RATIO", "1");
    let pool = Sandbox::pool(options).await?;
    // One on each front end.
    let (mut amy, mut bea) = (pool.page_user("amy").await?, pool.page_user("bea").await?);
    let text = amy.text(&bea.uri(), "hello");
    amy.send(&text).await?;
    bea.receive("hello").await?;
    ensure!(amy.answer_to(&text).await?.status() == Some(200));
    ensure!(pool.stop().await? == 0, "a member did not stop well");

    let chain = [
        ("MESSAGE", SERVER),
        ("portico.immcu.v1.ImMcu/Submit", SERVER),
        ("immcu.submit", INTERNAL),
        ("immcu.deliver", INTERNAL),
        ("portico.immcu.v1.ImMcu/Deliver", SERVER),
        ("MESSAGE", CLIENT),
    ];
    eventually("every span of the message", || async {
        let lines = collector.program.lines();
        let spans = items(&lines, "Span");
        let complete = chain.iter().all(|(name, kind)| span(&spans, name, kind).is_ok());
        Ok(complete.then_some(()))
    })
    .await?;
    let lines = collector.program.lines();
    let spans = items(&lines, "Span");
    let line: Vec<_> = chain
        .iter()
        .map(|(name, kind)| span(&spans, name, kind))
        .collect::<Result<_>>()?;
    for pair in line.windows(2) {
        let [above, below] = pair else { continue };
        ensure!(below.get("Trace ID") == above.get("Trace ID"));
        ensure!(
            below.get("Parent ID") == above.get("ID"),
            "{} is not below {}",
            below.get("Name"),
            above.get("Name")
        );
    }
    for (name, value) in [
        ("portico.edition", "enterprise"),
        ("service.name", "portico-front-end"),
        ("service.name", "portico-immcu"),
        ("service.instance.id", "fe1"),
        ("service.instance.id", "fe2"),
    ] {
        let attribute = format!("-> {name}: Str({value})");
        ensure!(
            lines.iter().any(|line| line.trim() == attribute),
            "no {attribute}"
        );
    }
    Ok(())
}

/// The message in, the owner of the conversation, the front end asked to deliver, the message out.
fn one_tree(spans: &[Item<'_>]) -> Result<()> {
    let line = [
        span(spans, "MESSAGE", SERVER)?,
        span(spans, "immcu.submit", INTERNAL)?,
        span(spans, "immcu.deliver", INTERNAL)?,
        span(spans, "MESSAGE", CLIENT)?,
    ];
    let [root, ..] = line;
    ensure!(root.get("Parent ID").is_empty(), "the request has a parent");
    ensure!(root.has("-> portico.sip.status_code: Int(200)"));
    for pair in line.windows(2) {
        let [above, below] = pair else { continue };
        ensure!(below.get("Trace ID") == root.get("Trace ID"));
        ensure!(
            below.get("Parent ID") == above.get("ID"),
            "{} is not below {}",
            below.get("Name"),
            above.get("Name")
        );
    }
    let traces = spans
        .iter()
        .filter(|span| span.get("Name") == "REGISTER" && span.get("Kind") == SERVER);
    ensure!(traces.count() == 3, "three sign-ins, three spans");
    Ok(())
}

fn numbers(metrics: &[Item<'_>]) -> Result<()> {
    let messages = metrics
        .iter()
        .rfind(|metric| metric.has("-> Name: portico.im.messages"))
        .context("no portico.im.messages")?;
    for line in [
        "-> Unit: {message}",
        "-> DataType: Sum",
        "-> IsMonotonic: true",
        "-> portico.result: Str(accepted)",
        "Value: 1",
    ] {
        ensure!(messages.has(line), "{line} is missing");
    }
    let duration = metrics
        .iter()
        .rfind(|metric| metric.has("-> Name: portico.im.delivery.duration"))
        .context("no portico.im.delivery.duration")?;
    ensure!(duration.has("-> Unit: s") && duration.has("-> DataType: Histogram") && duration.has("Count: 1"));
    Ok(())
}

/// The record at the collector and the line on standard output name the same span, one of the REGISTERs.
fn log_line(records: &[Item<'_>], spans: &[Item<'_>], printed: &[String]) -> Result<()> {
    let record = records
        .iter()
        .find(|record| record.get("Body") == "Str(sign-in refused)")
        .context("no record of the refused sign-in")?;
    let request = spans
        .iter()
        .find(|span| span.get("ID") == record.get("Span ID"))
        .context("the record names no span")?;
    ensure!(request.get("Name") == "REGISTER" && request.get("Trace ID") == record.get("Trace ID"));
    let printed: serde_json::Value = serde_json::from_str(printed.first().context("no line")?)?;
    ensure!(
        printed["trace_id"] == record.get("Trace ID") && printed["span_id"] == record.get("Span ID"),
        "{printed}"
    );
    Ok(())
}
