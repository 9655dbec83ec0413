//! Netlink sockets, requests, and the framing of messages.

mod frame;
mod request;
mod socket;

pub use frame::Malformed;
pub(crate) use frame::{ATTRIBUTE_HEADER, align, attributes, messages};
pub(crate) use request::{Attribute, Request};
pub(crate) use socket::{MAX_DATAGRAM, RequestError, Socket};
