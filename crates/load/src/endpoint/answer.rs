//! Answers to what other users send.

use super::Endpoint;
use super::session::offer;
use bytes::Bytes;
use sip_transport::Connection;
use sip_types::{HeaderName, Method, Request, StatusCode};

impl Endpoint {
    /// Agrees to everything.
    pub(super) fn answer(&self, connection: &Connection, request: &Request) {
        let response = match request.method() {
            Method::Ack => return,
            Method::Invite => request
                .reply(StatusCode::OK)
                .to_tag(&self.run.unique())
                .copy(request.headers(), &HeaderName::RecordRoute)
                .header(
                    HeaderName::Contact,
                    format_args!("<sip:{}@{}>", self.user, connection.local()),
                )
                .body("application/sdp", Bytes::from(offer(&self.user))),
            Method::Notify => {
                self.notified(request);
                request.reply(StatusCode::OK).to_tag(&self.user)
            }
            Method::Message | Method::Bye | Method::Info | Method::Options | Method::Cancel => {
                request.reply(StatusCode::OK).to_tag(&self.user)
            }
            _ => {
                self.run.error(format!("unexpected {}", request.method()));
                request.reply(StatusCode::NOT_IMPLEMENTED).to_tag(&self.user)
            }
        };
        let response = response.build();
        if let Err(error) = connection.send(response.head().clone(), response.body().clone()) {
            self.run.error(format!("send: {error}"));
        }
    }
}
