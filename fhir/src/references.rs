//! References between resources: how their text reads, where they stand in a resource, and how they are rewritten.

mod target;

pub use target::Target;
