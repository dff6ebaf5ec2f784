//! The authorization server over HTTP on a real port, with a real Postgres below it.

#[cfg(test)]
mod assertions;
#[cfg(test)]
mod authorize;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod code;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod emergency;
#[cfg(test)]
mod ended;
#[cfg(test)]
mod introspect;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod launch;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod picker;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod revoke;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod users;
