//! Where telemetry goes: the configuration, and below it the variables every OpenTelemetry program knows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use config::Config;
use telemetry::otlp::OtlpSettings;
use topology::Role;

use crate::error::StartError;

/// The share of requests that are traced where nobody says otherwise.
const SAMPLE_RATIO: f64 = 0.05;

/// How often metrics are sent where nobody says otherwise.
const METRIC_INTERVAL: Duration = Duration::from_secs(15);

/// What to send telemetry with; `None` if no collector is named. `roles` are those that run here, empty for all;
/// `variable` reads the environment.
///
/// # Errors
/// The file of `OTEL_EXPORTER_OTLP_CERTIFICATE` cannot be read.
pub fn otlp_settings(
    config: &Config,
    roles: &[Role],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<OtlpSettings>, StartError> {
    // An empty variable counts as one that is not set, as OpenTelemetry has it.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let configured = config.telemetry.otlp_endpoint.clone();
    let Some(endpoint) = configured.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")) else {
        return Ok(None);
    };
    let authorities = match variable("OTEL_EXPORTER_OTLP_CERTIFICATE") {
        Some(path) => Some(fs::read(&path).map_err(StartError::file("read", Path::new(&path)))?),
        None => None,
    };
    let interval = variable("OTEL_METRIC_EXPORT_INTERVAL").and_then(|millis| millis.parse().ok());
    Ok(Some(OtlpSettings {
        endpoint,
        authorities,
        headers: variable("OTEL_EXPORTER_OTLP_HEADERS")
            .map(|headers| pairs(&headers))
            .unwrap_or_default(),
        sample_ratio: config
            .telemetry
            .sample_ratio
            .unwrap_or_else(|| sampler(&variable)),
        metric_interval: interval
            .filter(|millis| *millis > 0)
            .map_or(METRIC_INTERVAL, Duration::from_millis),
        resource: resource(config, roles, &variable),
    }))
}

/// `OTEL_TRACES_SAMPLER` and its argument. Whether a request from another member is traced is always that member's
/// decision, so that the samplers that ask the parent and those that do not are the same here.
fn sampler(variable: &impl Fn(&str) -> Option<String>) -> f64 {
    let argument = || {
        variable("OTEL_TRACES_SAMPLER_ARG")
            .and_then(|ratio| ratio.parse().ok())
            .filter(|ratio| (0.0..=1.0).contains(ratio))
    };
    match variable("OTEL_TRACES_SAMPLER").as_deref() {
        Some("always_on" | "parentbased_always_on") => 1.0,
        Some("always_off" | "parentbased_always_off") => 0.0,
        _ => argument().unwrap_or(SAMPLE_RATIO),
    }
}

/// Who speaks.
fn resource(
    config: &Config,
    roles: &[Role],
    variable: &impl Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let given = pairs(&attributes)
        .into_iter()
        .find_map(|(name, value)| (name == "service.name").then_some(value));
    let name = variable("OTEL_SERVICE_NAME")
        .or(given)
        .unwrap_or_else(|| match roles {
            [role] => format!("portico-{role}"),
            _ => "portico".to_owned(),
        });
    let edition = if config.in_pool() {
        "enterprise"
    } else {
        "standard"
    };
    vec![
        ("service.namespace", "portico".to_owned()),
        ("service.name", name),
        ("service.instance.id", config.pool.member.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("portico.pool.name", config.pool.fqdn.clone()),
        ("portico.edition", edition.to_owned()),
    ]
}

/// `name=value,name=value`, values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), decoded(value.trim())))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// A percent sign that begins nothing stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &Config, roles: &[Role], variables: &[(&str, &str)]) -> Option<OtlpSettings> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        otlp_settings(config, roles, variable).unwrap()
    }

    fn attribute(settings: &OtlpSettings, name: &str) -> String {
        let found = settings.resource.iter().find(|(known, _)| *known == name);
        found.unwrap().1.clone()
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let mut config = Config::for_test(Path::new("data"));
        let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        assert_eq!(settings(&config, &[], &[]), None);
        assert_eq!(
            settings(&config, &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
            None
        );
        assert_eq!(settings(&config, &[], &[named]).unwrap().endpoint, named.1);
        assert_eq!(
            settings(&config, &[], &[named, ("OTEL_SDK_DISABLED", "true")]),
            None
        );
        config.telemetry.otlp_endpoint = Some("http://collector:4317".to_owned());
        assert_eq!(
            settings(&config, &[], &[named]).unwrap().endpoint,
            "http://collector:4317"
        );
    }

    #[test]
    fn the_configuration_stands_above_the_variables_and_they_above_the_defaults() {
        let mut config = Config::for_test(Path::new("data"));
        config.telemetry.otlp_endpoint = Some("http://collector:4317".to_owned());
        let ratio = |config: &Config, variables: &[(&str, &str)]| {
            settings(config, &[], variables).unwrap().sample_ratio
        };
        let argument = ("OTEL_TRACES_SAMPLER_ARG", "0.5");
        assert_eq!(ratio(&config, &[]), 0.05);
        assert_eq!(ratio(&config, &[argument]), 0.5);
        assert_eq!(ratio(&config, &[("OTEL_TRACES_SAMPLER_ARG", "7")]), 0.05);
        assert_eq!(
            ratio(&config, &[("OTEL_TRACES_SAMPLER", "always_on"), argument]),
            1.0
        );
        config.telemetry.sample_ratio = Some(0.25);
        assert_eq!(ratio(&config, &[argument]), 0.25);
    }

    #[test]
    fn the_resource_says_which_member_of_which_pool_speaks() {
        let mut config = Config::for_test(Path::new("data"));
        config.telemetry.otlp_endpoint = Some("http://collector:4317".to_owned());
        config.pool.member = "fe1".to_owned();
        let one = settings(&config, &[Role::Registrar], &[]).unwrap();
        assert_eq!(attribute(&one, "service.name"), "portico-registrar");
        let all = settings(&config, &[], &[]).unwrap();
        assert_eq!(attribute(&all, "service.name"), "portico");
        assert_eq!(attribute(&all, "service.namespace"), "portico");
        assert_eq!(attribute(&all, "service.instance.id"), "fe1");
        assert_eq!(attribute(&all, "portico.edition"), "standard");
        let given = [(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=im,service.instance.id=x",
        )];
        let given = settings(&config, &[], &given).unwrap();
        assert_eq!(attribute(&given, "service.name"), "im");
        assert_eq!(attribute(&given, "service.instance.id"), "fe1");
    }

    #[test]
    fn headers_are_pairs_with_percent_signs_decoded() {
        let read = pairs("api-key=a%20b%3D, x-tenant = one ,broken,=none,odd=50%");
        let expected = [("api-key", "a b="), ("x-tenant", "one"), ("odd", "50%")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, expected);
    }
}
