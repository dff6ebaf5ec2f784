//! The log against a real Postgres: what it promises, also when writers race and connections die.

#[cfg(test)]
mod append;
#[cfg(test)]
mod support;
