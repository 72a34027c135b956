//! The words of each family of clients: what a client said becomes the domain's terms ([`incoming`]), what is sent to it
//! is written as it understands it ([`outgoing`]).

pub(crate) mod encoding;
pub(crate) mod incoming;
pub(crate) mod outgoing;
