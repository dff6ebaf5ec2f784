//! The audit log against a real Postgres: what it promises, also when servers race, connections die and somebody tampers.

#[cfg(test)]
mod append;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod search;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod watch;
