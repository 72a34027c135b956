//! Typed header values, one file per header.

mod comment;
mod dialog_header;
mod macros;
mod media;
mod qvalue;
#[cfg(test)]
pub(crate) mod test_util;

macro_rules! headers {
    ($($file:ident: $($name:ident),+;)+) => {
        $(mod $file;)+
        $(pub use $file::{$($name),+};)+
    };
}

headers! {
    accept: Accept;
    accept_encoding: AcceptEncoding;
    accept_language: AcceptLanguage;
    alert_info: AlertInfo;
    allow: Allow;
    allow_events: AllowEvents;
    authentication_info: AuthenticationInfo;
    authorization: Authorization;
    call_id: CallId;
    call_info: CallInfo;
    contact: Contact, MALFORMED_EXPIRES;
    content_disposition: ContentDisposition;
    content_encoding: ContentEncoding;
    content_language: ContentLanguage;
    content_length: ContentLength;
    content_type: ContentType;
    cseq: CSeq;
    date: Date;
    error_info: ErrorInfo;
    event: Event;
    expires: Expires;
    flow_timer: FlowTimer;
    from: From;
    in_reply_to: InReplyTo;
    join: Join;
    max_forwards: MaxForwards;
    mime_version: MimeVersion;
    min_expires: MinExpires;
    organization: Organization;
    p_asserted_identity: PAssertedIdentity;
    p_preferred_identity: PPreferredIdentity;
    path: Path;
    priority: Priority;
    privacy: Privacy;
    proxy_authenticate: ProxyAuthenticate;
    proxy_authorization: ProxyAuthorization;
    proxy_require: ProxyRequire;
    reason: Reason;
    record_route: RecordRoute;
    refer_sub: ReferSub;
    refer_to: ReferTo;
    referred_by: ReferredBy;
    replaces: Replaces;
    reply_to: ReplyTo;
    require: Require;
    retry_after: RetryAfter;
    route: Route;
    server: Server;
    service_route: ServiceRoute;
    sip_etag: SipEtag;
    sip_if_match: SipIfMatch;
    subject: Subject;
    subscription_state: SubscriptionState;
    supported: Supported;
    timestamp: Timestamp;
    to: To;
    unsupported: Unsupported;
    user_agent: UserAgent;
    via: Via, MAGIC_COOKIE;
    warning: Warning;
    www_authenticate: WwwAuthenticate;
}
