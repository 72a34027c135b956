//! `Event`: RFC 6665 section 8.2.1.

use super::macros::token_params_header;

token_params_header! {
    /// The event package of a subscription, notification or publication.
    Event {
        /// The package with its templates, `presence.winfo`, as written.
        package
    }
}

impl Event {
    /// The `id` parameter, which tells subscriptions of one dialog apart.
    pub fn id(&self) -> Option<crate::SipStr> {
        self.params.text("id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn package_and_id_are_read() {
        let event: Event = check("presence.winfo ; id = 7", "presence.winfo;id=7");
        assert!(event.is("Presence.WInfo"));
        assert_eq!(event.id().unwrap(), "7");
        check::<Event>("vnd-microsoft-roaming-contacts", "vnd-microsoft-roaming-contacts");
        refuse::<Event>(&["", ";id=1", "a b", "presence;", "presence, dialog"]);
    }
}
