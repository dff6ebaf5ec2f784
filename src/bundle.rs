//! Batch and transaction bundles (R4 http.html#transaction): many interactions in one request.
//!
//! A batch is many requests in one: each entry succeeds or fails by itself. A transaction is one write: its entries
//! are read ([`entry`]), their targets and references resolved ([`resolve`]), all decided together and recorded as
//! one group of events ([`transaction`]), in the order DELETE, POST, PUT, GET and all or nothing.

mod batch;
mod entry;
mod resolve;
mod response;
mod target;
mod transaction;

pub use batch::run as run_batch;
pub use entry::{BundleKind, Entry, Method, read};
pub use target::Target;
pub use transaction::run as run_transaction;
