//! Bearer tokens (RFC 6750): how they come, what stands in them, and the keys that they are checked with.
//!
//! A token is a signed JWT (RFC 7519) of an OpenID Connect authority. [`bearer`] takes it from the request, [`jwt`] takes
//! it apart, [`claims`] judges what it says; all three are pure. [`keys`] holds public keys, [`discovery`] fetches them,
//! [`keeper`] keeps them fresh, and an [`authority`] puts all of it together.

pub mod authority;
pub mod bearer;
pub mod claims;
pub mod discovery;
pub mod issuer;
pub mod jwt;
pub mod keeper;
pub mod keys;
