//! Who asks, and what they may do: tokens, principals, data actions, roles.
//!
//! The [`Gate`] of a service lets a request in as a [`Principal`], whose roles give it data actions; the tables of the API
//! name the ones that each interaction needs, and the dispatcher compares the two before anything is looked up.

pub mod action;
pub mod assignment;
mod bound;
pub mod denied;
pub mod gate;
pub mod grant;
pub mod principal;
pub mod role;
pub mod scope;
pub mod token;

pub use action::{Action, Actions};
pub use denied::Denied;
pub use gate::Gate;
pub use grant::Grant;
pub use principal::Principal;
pub use role::Role;
pub use scope::Scopes;
