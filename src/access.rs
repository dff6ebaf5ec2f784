//! Who asks, and what they may do: principals, data actions, roles.
//!
//! A request carries a [`Principal`]; the tables of the API name the data actions that each interaction needs, and the
//! dispatcher compares the two before anything is looked up.

pub mod action;
pub mod grant;
pub mod principal;
pub mod role;
pub mod scope;

pub use action::{Action, Actions};
pub use grant::Grant;
pub use principal::Principal;
pub use role::Role;
pub use scope::Scopes;
