//! Numbers of resources as the targets of references: how rows of the index are joined.
//!
//! A resource has one number, made of the log and `Type/id`; what has a canonical address has another of that. From it
//! come all the keys by which references are followed, and each comes from another in one expression of SQL:
//!
//! - **own**: the row of the resource has it. It is the least of the row's tokens: `tokens[1]`. Own canonical addresses
//!   come behind it, below [`OWN_MAX`].
//! - **target**: every row that refers to the resource by anything has it, from [`TARGET_MIN`] on, canonical addresses
//!   below [`TARGET_RESOURCE_MIN`]. `own # TURN` is the target and `target # TURN` the own key.
//! - **reference**: rows that refer to the resource by one parameter have it. It is a key like those of other
//!   parameters; [`Target::referred_by`] makes it, and `reference(own or target, parameter)` in SQL, see
//!   [`super::tables::Tables::reference`].
//!
//! Why a hash and no mixture that costs less, such as XOR: whoever may choose ids could then look for an id whose number
//! differs from a patient's by as much as two parameters differ. There are millions of such pairs, and a few million
//! tries would find one; the id would be answered with the patient's rows. Through the hash only a number that is
//! the patient's own does that, which takes 2^61 tries for one patient.

use sha2::{Digest, Sha256};

use super::key::{KEY_MIN, key_of};

/// Bits of a number.
const BITS: u32 = 61;
/// The bits of a number in a key; the others say what the key is.
pub(crate) const NUMBER_MASK: i64 = (1 << BITS) - 1;
/// Own keys are below this.
pub(crate) const OWN_MAX: i64 = KEY_MIN;
/// Own keys of canonical addresses begin here, those of `Type/id` lie below.
const OWN_ADDRESS_MIN: i64 = i64::MIN + (1 << BITS);
/// Targets begin here.
pub(crate) const TARGET_MIN: i64 = 1 << (BITS + 1);
/// Targets that are `Type/id` begin here.
#[cfg_attr(not(test), expect(dead_code, reason = "statements that join rows ask for it"))]
pub(crate) const TARGET_RESOURCE_MIN: i64 = TARGET_MIN + (1 << BITS);
/// Makes own keys into targets and targets into own keys, by `#` in SQL and `^` here.
pub(crate) const TURN: i64 = -1 << BITS;

/// What a reference may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target(i64);

impl Target {
    /// What is known under this address: `Type/id` on this server, or an absolute address.
    pub(crate) fn of(log: i16, address: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(log.to_be_bytes());
        // No resource type begins so.
        hash.update("/target/");
        hash.update(address);
        Self(key_of(hash) & NUMBER_MASK)
    }

    /// The resource of this type and id.
    pub(crate) fn resource(log: i16, resource_type: &str, id: &str) -> Self {
        Self::of(log, &format!("{resource_type}/{id}"))
    }

    /// What the resource `Type/id` contains under this id. No resource that stands for itself has such an address.
    pub(crate) fn contained(log: i16, container: &str, id: &str) -> Self {
        Self::of(log, &format!("{container}#{id}"))
    }

    /// What has this own key, or is this target.
    pub(crate) fn of_key(key: i64) -> Self {
        Self(key & NUMBER_MASK)
    }

    /// The token of the resource itself, where it is known as `Type/id`.
    pub(crate) fn own(self) -> i64 {
        i64::MIN | self.0
    }

    /// The token of the resource itself, where this is its canonical address.
    pub(crate) fn own_address(self) -> i64 {
        OWN_ADDRESS_MIN | self.0
    }

    /// The token of what refers to the resource by its `Type/id`.
    pub(crate) fn target(self) -> i64 {
        self.own() ^ TURN
    }

    /// The token of what refers to the resource by its canonical address.
    pub(crate) fn target_address(self) -> i64 {
        self.own_address() ^ TURN
    }

    /// The token of what refers to the resource by the parameter of this number, see
    /// [`super::key::ParameterKey::references`].
    pub(crate) fn referred_by(self, parameter: i64) -> i64 {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        hash.update(parameter.to_be_bytes());
        key_of(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_token_has_its_range() {
        for number in 0..200 {
            let target = Target::resource(1, "Patient", &number.to_string());
            let (own, address) = (target.own(), target.own_address());
            assert!(own < OWN_ADDRESS_MIN && (OWN_ADDRESS_MIN..OWN_MAX).contains(&address));
            assert!(target.target() >= TARGET_RESOURCE_MIN);
            assert!((TARGET_MIN..TARGET_RESOURCE_MIN).contains(&target.target_address()));
            assert_eq!((target.target() ^ TURN, target.target_address() ^ TURN), (own, address));
            assert!((KEY_MIN..TARGET_MIN).contains(&target.referred_by(7)));
        }
    }

    #[test]
    fn numbers_never_change_within_a_version() {
        let target = Target::resource(1, "Patient", "1");
        assert_eq!(target, Target::of(1, "Patient/1"));
        assert_ne!(target, Target::resource(2, "Patient", "1"));
        assert_eq!(
            (target.own(), target.referred_by(1)),
            (-8_892_429_714_552_817_534, 1_070_921_781_460_321_691)
        );
    }
}
