//! The one connection everything goes over.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::{OtlpError, OtlpSettings};

/// Time for a connection to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for one batch to be taken.
const BATCH: Duration = Duration::from_secs(10);

/// A collector: connected to when something is sent, and again after it went away.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    channel: Channel,
    headers: MetadataMap,
}

impl Connection {
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, OtlpError> {
        let unusable = |problem: String| OtlpError::Endpoint {
            endpoint: settings.endpoint.clone(),
            problem,
        };
        let mut endpoint = Endpoint::from_shared(settings.endpoint.clone())
            .map_err(|error| unusable(error.to_string()))?
            .connect_timeout(CONNECT)
            .timeout(BATCH);
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => {
                let tls = match &settings.authorities {
                    Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                    None => ClientTlsConfig::new().with_native_roots(),
                };
                endpoint = endpoint
                    .tls_config(tls)
                    .map_err(|error| unusable(error.to_string()))?;
            }
            _ => return Err(unusable("it begins with neither http:// nor https://".to_owned())),
        }
        let mut headers = MetadataMap::new();
        for (name, value) in &settings.headers {
            let bad = || OtlpError::Header(name.clone());
            let key: MetadataKey<Ascii> = name.to_ascii_lowercase().parse().map_err(|_| bad())?;
            let value: MetadataValue<Ascii> = value.parse().map_err(|_| bad())?;
            headers.insert(key, value);
        }
        Ok(Connection {
            channel: endpoint.connect_lazy(),
            headers,
        })
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A call with the headers of this connection.
    pub(super) fn call<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }
}
