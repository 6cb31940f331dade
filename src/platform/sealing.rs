//! Sealing of secrets that the database keeps (DESIGN §7): AES-256-GCM under a key that is derived from the master key.
//!
//! A sealed text is `s1.<key id>.<base64url of nonce and ciphertext>`. What it belongs to is authenticated with it: one
//! that is copied to another org, row or purpose does not open. Rotation: give the new master key as `MASTER_KEY` and
//! the old one as `MASTER_KEY_PREVIOUS`; what was sealed with the old one still opens and says so ([`Opened::stale`]),
//! and whoever reads it seals it anew. Does not: store anything.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use base64ct::{Base64UrlUnpadded, Encoding};
use errand_protocol::ids::OrgId;

use super::crypto;
use crate::config::{Config, MasterKey, Secret};

const VERSION: &str = "s1";
const NONCE_BYTES: usize = 12;

/// What a sealed text belongs to. All of it must be the same when it is opened.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// In which org; [`None`] for what belongs to a person wherever they act.
    pub org: Option<&'a OrgId>,
    /// What kind of secret, e.g. `oauth.github`.
    pub purpose: &'a str,
    /// Whose, or of which row.
    pub subject: &'a str,
}

/// A secret that was sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// The secret.
    pub secret: Secret,
    /// It was sealed with the previous key: seal it anew.
    pub stale: bool,
}

/// Why a sealed text does not open. Says nothing about what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with a key that this installation does not have (any more).
    #[error("sealed with another key")]
    UnknownKey,
    /// Changed, or belongs somewhere else.
    #[error("damaged, or not from here")]
    Damaged,
}

/// Seals a secret.
///
/// # Errors
/// When the cipher refuses, which it does only for texts of gigabytes.
pub fn seal(config: &Config, place: Place<'_>, secret: &str) -> Result<String, SealError> {
    seal_with(&config.master_key, place, secret)
}

/// Opens what [`seal`] made for the same place.
///
/// # Errors
/// Why it does not open.
pub fn open(config: &Config, place: Place<'_>, sealed: &str) -> Result<Opened, SealError> {
    open_with(&config.master_key, config.previous_master_key.as_ref(), place, sealed)
}

fn seal_with(master: &MasterKey, place: Place<'_>, secret: &str) -> Result<String, SealError> {
    let nonce: [u8; NONCE_BYTES] = crypto::random();
    let data = place.bytes();
    let payload = Payload {
        msg: secret.as_bytes(),
        aad: &data,
    };
    let sealed = cipher(master).encrypt(Nonce::from_slice(&nonce), payload);
    let sealed = sealed.map_err(|_| SealError::Damaged)?;
    let body = Base64UrlUnpadded::encode_string(&[nonce.as_slice(), &sealed].concat());
    Ok(format!("{VERSION}.{}.{body}", key_id(master)))
}

fn open_with(
    current: &MasterKey,
    previous: Option<&MasterKey>,
    place: Place<'_>,
    sealed: &str,
) -> Result<Opened, SealError> {
    let rest = sealed.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.'));
    let (id, body) = rest.and_then(|rest| rest.split_once('.')).ok_or(SealError::Damaged)?;
    let of_id = |key: &&MasterKey| key_id(key) == id;
    let stale = key_id(current) != id;
    let key = [Some(current), previous].into_iter().flatten().find(of_id);
    let key = key.ok_or(SealError::UnknownKey)?;
    let bytes = Base64UrlUnpadded::decode_vec(body).map_err(|_| SealError::Damaged)?;
    let (nonce, ciphertext) = bytes.split_at_checked(NONCE_BYTES).ok_or(SealError::Damaged)?;
    let data = place.bytes();
    let payload = Payload {
        msg: ciphertext,
        aad: &data,
    };
    let plain = cipher(key).decrypt(Nonce::from_slice(nonce), payload);
    let plain = plain.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Opened {
        secret: plain.ok_or(SealError::Damaged)?.into(),
        stale,
    })
}

fn cipher(master: &MasterKey) -> Aes256Gcm {
    let key = crypto::hmac_sha256(master.expose(), b"sealing:aes-256-gcm:1");
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&key))
}

/// Names a key without telling anything of it.
fn key_id(master: &MasterKey) -> String {
    let digest = crypto::hmac_sha256(master.expose(), b"sealing:key-id");
    crypto::hex(digest.first_chunk::<4>().unwrap_or(&[0; 4]))
}

impl Place<'_> {
    /// Its fields with their lengths, so that no two places look alike.
    fn bytes(&self) -> Vec<u8> {
        let org = self.org.map_or("", OrgId::as_str);
        let fields = [org, self.purpose, self.subject];
        let framed = fields.map(|field| format!("{}:{field}", field.len()));
        framed.concat().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: &str) -> MasterKey {
        byte.repeat(32).parse().unwrap()
    }

    fn org(name: &str) -> OrgId {
        OrgId::from_body(name).unwrap()
    }

    fn place<'a>(org: &'a OrgId, purpose: &'a str, subject: &'a str) -> Place<'a> {
        Place {
            org: Some(org),
            purpose,
            subject,
        }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_reads_like_nothing() {
        let (key, org) = (key("01"), org("a"));
        let here = place(&org, "oauth.github", "usr_1");
        let sealed = seal_with(&key, here, "gho_secret").unwrap();
        assert!(!sealed.contains("gho_"));
        assert_ne!(
            sealed,
            seal_with(&key, here, "gho_secret").unwrap(),
            "each has its own nonce"
        );
        let opened = open_with(&key, None, here, &sealed).unwrap();
        assert_eq!((opened.secret.expose(), opened.stale), ("gho_secret", false));
        assert_eq!(
            open_with(&key, None, here, &seal_with(&key, here, "").unwrap())
                .unwrap()
                .secret
                .expose(),
            ""
        );
    }

    #[test]
    fn it_opens_nowhere_else() {
        let (key, a, b) = (key("01"), org("a"), org("b"));
        let sealed = seal_with(&key, place(&a, "x", "yz"), "secret").unwrap();
        let nobodys = Place {
            org: None,
            purpose: "x",
            subject: "yz",
        };
        for elsewhere in [place(&b, "x", "yz"), place(&a, "xy", "z"), place(&a, "x", "z"), nobodys] {
            assert_eq!(open_with(&key, None, elsewhere, &sealed), Err(SealError::Damaged));
        }
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let (key, org) = (key("01"), org("a"));
        let here = place(&org, "x", "y");
        let sealed = seal_with(&key, here, "secret").unwrap();
        let id = key_id(&key);
        for at in (VERSION.len() + id.len() + 2)..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(
                open_with(&key, None, here, &changed),
                Err(SealError::Damaged),
                "at {at}"
            );
        }
        let short = format!("s1.{id}.AAAA");
        for bad in [
            "",
            "s1",
            "s1.",
            "s2.x.y",
            "secret",
            &short,
            &format!("s1.{id}."),
            &format!("s1.{id}.!!"),
        ] {
            assert_eq!(open_with(&key, None, here, bad), Err(SealError::Damaged), "{bad:?}");
        }
    }

    #[test]
    fn after_a_rotation_the_old_ones_open_and_say_that_they_are_old() {
        let (old, new, org) = (key("01"), key("02"), org("a"));
        let here = place(&org, "x", "y");
        let sealed = seal_with(&old, here, "secret").unwrap();
        assert_eq!(open_with(&new, None, here, &sealed), Err(SealError::UnknownKey));
        let opened = open_with(&new, Some(&old), here, &sealed).unwrap();
        assert_eq!((opened.secret.expose(), opened.stale), ("secret", true));
        let again = seal_with(&new, here, opened.secret.expose()).unwrap();
        assert!(!open_with(&new, Some(&old), here, &again).unwrap().stale);
    }
}
