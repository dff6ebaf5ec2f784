//! The log against a real Postgres: what it promises, also when writers race and connections die.

#[cfg(test)]
mod append;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod complaints;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod erased_messages;
#[cfg(test)]
mod erasure;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod hand;
#[cfg(test)]
mod history;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod identifiers;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod paused;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod purge;
#[cfg(test)]
mod races;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sealed;
#[cfg(test)]
mod sealed_messages;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod support;
