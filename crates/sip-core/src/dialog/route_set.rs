//! [`RouteSet`]: the proxies that stay in the path of a dialog.

use sip_types::typed::RecordRoute;
use sip_types::{HeaderError, Headers, SipStr, TypedHeader as _, Uri};

/// The `Record-Route` values of the message that made the dialog, the nearest proxy first (RFC 3261 section 12.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteSet {
    routes: Vec<SipStr>,
}

/// Where a request in the dialog goes (section 12.2.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Routing {
    pub(crate) request_uri: SipStr,
    pub(crate) routes: Vec<SipStr>,
}

impl RouteSet {
    /// For the end that got the request: the values in order (section 12.1.1).
    ///
    /// # Errors
    /// A malformed `Record-Route`.
    pub fn of_uas(headers: &Headers) -> Result<Self, HeaderError> {
        let values = headers.list::<RecordRoute>()?;
        // Buffers of their own: a dialog outlives its messages by hours.
        Ok(Self {
            routes: values
                .iter()
                .map(|value| SipStr::from(value.to_string()))
                .collect(),
        })
    }

    /// For the end that sent the request: the values of the response in reverse order (section 12.1.2).
    ///
    /// # Errors
    /// A malformed `Record-Route`.
    pub fn of_uac(headers: &Headers) -> Result<Self, HeaderError> {
        let mut set = Self::of_uas(headers)?;
        set.routes.reverse();
        Ok(set)
    }

    /// The values, the nearest proxy first.
    pub fn iter(&self) -> impl Iterator<Item = &SipStr> {
        self.routes.iter()
    }

    /// Whether requests go straight to the remote target.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    pub(crate) fn routing(&self, remote_target: &SipStr) -> Routing {
        let direct = || Routing {
            request_uri: remote_target.clone(),
            routes: self.routes.clone(),
        };
        let Some((first, others)) = self.routes.split_first() else {
            return direct();
        };
        match RecordRoute::parse(first) {
            Ok(first) if !first.is_loose() => {
                // A strict router of RFC 2543: it wants its own URI in the request line and the target at the end.
                let mut routes = others.to_vec();
                routes.push(SipStr::from(format!("<{remote_target}>")));
                Routing {
                    request_uri: without_headers(&first.uri),
                    routes,
                }
            }
            _ => direct(),
        }
    }
}

/// Section 19.1.1, table 1: a Request-URI has no headers.
fn without_headers(uri: &Uri) -> SipStr {
    let text = uri.as_str();
    SipStr::copy_from(text.split_once('?').map_or(text, |(uri, _)| uri))
}
