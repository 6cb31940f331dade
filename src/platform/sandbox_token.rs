//! The sandbox token (DESIGN §4): the only credential inside a sandbox. A JWT (HS256) signed with a key that is
//! derived per session from the master key, so that no sandbox can forge another's.
//!
//! Only tokens with exactly our header are accepted: there is no algorithm to choose, so none can be confused.

use base64ct::{Base64UrlUnpadded, Encoding};
use errand_protocol::ids::{Generation, OrgId, SessionId};
use errand_protocol::runner::SandboxToken;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::crypto;
use crate::config::{Config, MasterKey};

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// The runner's WebSocket.
    Runner,
    /// The LLM proxy.
    Llm,
    /// The git proxy.
    Git,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The session.
    pub sub: SessionId,
    /// Its org.
    pub org: OrgId,
    /// The sandbox's generation.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// What it is good for.
    pub aud: Vec<Audience>,
    /// When it ends, seconds since 1970.
    pub exp: i64,
    /// When it was made, seconds since 1970.
    pub iat: i64,
}

/// Why a token was refused. People see only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or changed.
    #[error("the token is not valid")]
    Forged,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// For something else.
    #[error("the token is not for this")]
    Audience,
}

/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A fresh token for the sandbox `generation` of a session.
pub fn mint_sandbox_token(
    config: &Config,
    session: &SessionId,
    org: &OrgId,
    generation: Generation,
    now: Timestamp,
    ttl_ms: i64,
) -> SandboxToken {
    let expires_at = now.plus(ttl_ms);
    let claims = Claims {
        sub: session.clone(),
        org: org.clone(),
        generation,
        aud: vec![Audience::Runner, Audience::Llm, Audience::Git],
        exp: expires_at.millis() / 1000,
        iat: now.millis() / 1000,
    };
    SandboxToken {
        token: sign(&session_key(&config.master_key, session), &claims),
        expires_at,
    }
}

/// What `token` says, when it is `session`'s, not expired and good for `audience`.
///
/// # Errors
/// Why it is refused.
pub fn verify_sandbox_token(
    config: &Config,
    session: &SessionId,
    token: &str,
    audience: Audience,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    verify(&config.master_key, session, token, audience, now)
}

/// The session that a token claims to be of. Not verified: good only for finding the key that verifies it.
pub fn claimed_session(token: &str) -> Option<SessionId> {
    let (_, payload, _) = split(token)?;
    read_claims(payload).map(|claims| claims.sub)
}

fn verify(
    master: &MasterKey,
    session: &SessionId,
    token: &str,
    audience: Audience,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let (header, payload, signature) = split(token).ok_or(TokenError::Forged)?;
    let expected = signature_of(&session_key(master, session), header, payload);
    if header != HEADER || !crypto::equal(&expected, signature) {
        return Err(TokenError::Forged);
    }
    let claims = read_claims(payload).ok_or(TokenError::Forged)?;
    if claims.sub != *session {
        return Err(TokenError::Forged);
    }
    if claims.exp <= now.millis() / 1000 {
        return Err(TokenError::Expired);
    }
    if !claims.aud.contains(&audience) {
        return Err(TokenError::Audience);
    }
    Ok(claims)
}

fn session_key(master: &MasterKey, session: &SessionId) -> [u8; 32] {
    crypto::hmac_sha256(master.expose(), format!("sandbox-token:{session}").as_bytes())
}

fn sign(key: &[u8], claims: &Claims) -> String {
    // Claims are plain strings and numbers: their JSON cannot fail.
    let json = serde_json::to_vec(claims).unwrap_or_default();
    let payload = Base64UrlUnpadded::encode_string(&json);
    let signature = signature_of(key, HEADER, &payload);
    format!("{HEADER}.{payload}.{signature}")
}

fn signature_of(key: &[u8], header: &str, payload: &str) -> String {
    Base64UrlUnpadded::encode_string(&crypto::hmac_sha256(key, format!("{header}.{payload}").as_bytes()))
}

fn split(token: &str) -> Option<(&str, &str, &str)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    Some((header, payload, signature))
}

fn read_claims(payload: &str) -> Option<Claims> {
    super::json::read(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> MasterKey {
        "42".repeat(32).parse().unwrap()
    }

    fn claims(session: &SessionId) -> Claims {
        Claims {
            sub: session.clone(),
            org: "org_1".parse().unwrap(),
            generation: Generation(3),
            aud: vec![Audience::Runner],
            exp: 1_000,
            iat: 10,
        }
    }

    #[test]
    fn signatures_follow_rfc_7515_appendix_a_1() {
        let key = Base64UrlUnpadded::decode_vec(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        )
        .unwrap();
        let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        assert_eq!(
            signature_of(&key, header, payload),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }

    #[test]
    fn a_token_is_good_for_its_session_its_audience_and_its_time() {
        let (mine, other): (SessionId, SessionId) = ("ses_1".parse().unwrap(), "ses_2".parse().unwrap());
        let token = sign(&session_key(&master(), &mine), &claims(&mine));
        let at = |ms| Timestamp::from_millis(ms);
        assert_eq!(claimed_session(&token).as_ref(), Some(&mine));
        let read = verify(&master(), &mine, &token, Audience::Runner, at(999_000)).unwrap();
        assert_eq!(read.generation, Generation(3));
        let refused = |session, token, audience, now| verify(&master(), session, token, audience, now).unwrap_err();
        assert_eq!(
            refused(&mine, &token, Audience::Runner, at(1_000_000)),
            TokenError::Expired
        );
        assert_eq!(refused(&mine, &token, Audience::Llm, at(0)), TokenError::Audience);
        assert_eq!(refused(&other, &token, Audience::Runner, at(0)), TokenError::Forged);
        let of_other_key = sign(&session_key(&master(), &other), &claims(&mine));
        assert_eq!(
            refused(&mine, &of_other_key, Audience::Runner, at(0)),
            TokenError::Forged
        );
        for garbage in ["", "a.b", "a.b.c", "....", &token[..token.len() - 1]] {
            assert_eq!(
                refused(&mine, garbage, Audience::Runner, at(0)),
                TokenError::Forged,
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_token_without_algorithm_is_forged() {
        let mine: SessionId = "ses_1".parse().unwrap();
        let token = sign(&session_key(&master(), &mine), &claims(&mine));
        let none = Base64UrlUnpadded::encode_string(br#"{"alg":"none"}"#);
        let payload = token.split('.').nth(1).unwrap();
        let signature = signature_of(&session_key(&master(), &mine), &none, payload);
        for bad in [format!("{none}.{payload}."), format!("{none}.{payload}.{signature}")] {
            let outcome = verify(&master(), &mine, &bad, Audience::Runner, Timestamp::from_millis(0));
            assert_eq!(outcome, Err(TokenError::Forged));
        }
    }
}
