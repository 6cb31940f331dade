//! Minting of ids: ULIDs for new things, and ids derived from a key where repeating must give the same id.

use errand_protocol::ids::{
    ApiKeyId, BudgetId, CallId, CommandId, ConnId, GroupId, InteractionId, InvitationId, ModelKeyId, OrgId, PromptId,
    SessionId, ShareId, TurnId, UserId,
};
use errand_protocol::time::Timestamp;

use super::crypto;

/// A kind of id that the Worker mints.
pub trait Minted: Sized {
    /// The id with this body; the body is always a well-formed ULID.
    fn from_ulid(body: &str) -> Option<Self>;
}

macro_rules! minted {
    ($($name:ident),*) => {
        $(impl Minted for $name {
            fn from_ulid(body: &str) -> Option<Self> {
                Self::from_body(body).ok()
            }
        })*
    };
}
minted!(
    ApiKeyId,
    BudgetId,
    CallId,
    CommandId,
    ConnId,
    GroupId,
    InteractionId,
    InvitationId,
    ModelKeyId,
    OrgId,
    PromptId,
    SessionId,
    ShareId,
    TurnId,
    UserId
);

/// A new id, sorting by `now`.
pub fn mint<T: Minted>(now: Timestamp) -> T {
    of(ulid(now))
}

/// The body of a new id, for those who put the prefix on themselves.
pub fn mint_body(now: Timestamp) -> String {
    crockford(ulid(now))
}

fn ulid(now: Timestamp) -> u128 {
    let millis = u128::try_from(now.millis()).unwrap_or_default();
    let random = u128::from_be_bytes(crypto::random::<16>());
    (millis << 80) | (random & ((1 << 80) - 1))
}

/// The id that belongs to `key` among the things of `kind` that `scope` (a user, an org) made: the same input gives
/// the same id, so that a repeated request finds what the first one made.
pub fn derive<T: Minted>(scope: &str, kind: &str, key: &str) -> T {
    let digest = crypto::sha256(format!("{scope}\0{kind}\0{key}").as_bytes());
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    of(u128::from_be_bytes(half))
}

/// The body of an id that sorts by `at` and belongs to `key`: the same input gives the same id.
pub fn body_of(at: Timestamp, key: &str) -> String {
    let millis = u128::try_from(at.millis()).unwrap_or_default();
    let mut half = [0; 16];
    half.iter_mut()
        .zip(crypto::sha256(key.as_bytes()))
        .for_each(|(to, from)| *to = from);
    crockford((millis << 80) | (u128::from_be_bytes(half) & ((1 << 80) - 1)))
}

/// Reference of a request, for the logs.
pub fn request_id(now: Timestamp) -> String {
    format!("req_{}", mint_body(now))
}

fn of<T: Minted>(number: u128) -> T {
    #[expect(
        clippy::panic,
        reason = "Crockford digits always make a well-formed body; tested below"
    )]
    T::from_ulid(&crockford(number)).unwrap_or_else(|| panic!("a ULID was refused as an id"))
}

/// The 26 characters of a ULID.
fn crockford(number: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..26)
        .rev()
        .filter_map(|place| {
            let digit = usize::try_from((number >> (place * 5)) & 31).ok()?;
            DIGITS.get(digit).map(|d| char::from(*d))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_becomes_the_ulid_of_the_specification() {
        assert_eq!(crockford(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(crockford(0), "0".repeat(26));
        assert_eq!(crockford(32), format!("{}10", "0".repeat(24)));
    }

    #[test]
    fn minted_ids_sort_by_time_and_differ() {
        let early: SessionId = mint(Timestamp::from_millis(1_000));
        let late: SessionId = mint(Timestamp::from_millis(2_000));
        assert!(early < late);
        assert_ne!(late, mint(Timestamp::from_millis(2_000)));
    }

    #[test]
    fn the_body_of_a_time_and_a_key_sorts_by_the_time() {
        let at = |ms, key| body_of(Timestamp::from_millis(ms), key);
        assert_eq!(at(1_000, "a"), at(1_000, "a"));
        assert_ne!(at(1_000, "a"), at(1_000, "b"));
        assert!(at(1_000, "b") < at(2_000, "a") && at(1_000, "a") < at(2_000, "b"));
        assert_eq!(at(1_000, "a").len(), 26);
    }

    #[test]
    fn a_derived_id_depends_on_all_of_its_input() {
        let id: SessionId = derive("usr_1", "session", "key");
        assert_eq!(id, derive("usr_1", "session", "key"));
        assert_ne!(id, derive("usr_2", "session", "key"));
        assert_ne!(id, derive("usr_1", "session", "key2"));
    }
}
