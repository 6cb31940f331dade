//! GitHub and Google on the wire: where people are sent, how a code becomes a token, and whose token it is. Answers are
//! read with a time limit and a size limit; what they say wrongly becomes one of our errors. Identity is the provider's
//! own id: logins and addresses are taken over by others.

use std::time::Duration;

use errand_protocol::api::ErrorCode;
use errand_protocol::text::Label;
use form_urlencoded::Serializer;
use serde::{Deserialize, Serialize};
use worker::{Headers, Method, Request, RequestInit, RequestRedirect};

use super::state::Attempt;
use crate::config::{Config, OAuthApp, Secret};
use crate::http::error::ApiError;
use crate::platform::{json, rpc};

/// So long a provider may take for one answer.
const LIMIT: Duration = Duration::from_secs(8);
/// Longest token that a provider may give.
const MAX_TOKEN: usize = 8 * 1024;
/// Longest e-mail address (RFC 5321).
const MAX_ADDRESS: usize = 254;
/// Longest answer that is read.
const MAX_ANSWER: usize = 256 * 1024;

/// Who knows people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Provider {
    /// GitHub.
    GitHub,
    /// Google.
    Google,
}

/// A token of the provider.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) scopes: String,
    pub(super) expires_in: Option<i64>,
}

/// Who somebody is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    /// Never given to anybody else.
    pub(super) id: String,
    pub(super) login: String,
    pub(super) name: String,
    /// The one for commits.
    pub(super) email: String,
    /// The ones that the provider has verified.
    pub(super) verified_emails: Vec<String>,
}

impl Provider {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Google => "google",
        }
    }

    const fn shown(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::Google => "Google",
        }
    }

    pub(super) const fn app(self, config: &Config) -> Option<&OAuthApp> {
        match self {
            Self::GitHub => config.github.as_ref(),
            Self::Google => config.google.as_ref(),
        }
    }

    /// Where people are sent.
    pub(super) fn authorize_url(self, app: &OAuthApp, origin: &str, attempt: &Attempt) -> String {
        let (path, scope, more): (_, _, &[(&str, &str)]) = match self {
            Self::GitHub => ("/login/oauth/authorize", "repo read:user user:email", &[]),
            Self::Google => (
                "/o/oauth2/v2/auth",
                "openid email profile",
                &[("response_type", "code"), ("prompt", "select_account")],
            ),
        };
        let query = Serializer::new(String::new())
            .append_pair("client_id", &app.client_id)
            .append_pair("redirect_uri", &self.callback(origin))
            .append_pair("scope", scope)
            .append_pair("state", &attempt.state)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(more)
            .finish();
        format!("{}{path}?{query}", app.url)
    }

    fn callback(self, origin: &str) -> String {
        format!("{origin}/auth/{}/callback", self.name())
    }

    /// The token for a code.
    pub(super) async fn exchange(
        self,
        app: &OAuthApp,
        origin: &str,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, ApiError> {
        let path = match self {
            Self::GitHub => "/login/oauth/access_token",
            Self::Google => "/token",
        };
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("client_id", &app.client_id)
            .append_pair("client_secret", app.client_secret.expose())
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.callback(origin))
            .append_pair("code_verifier", verifier)
            .finish();
        let answer = self.ask(&format!("{}{path}", app.token_url), Some(form), None).await?;
        let token = TokenAnswer::read(&answer).ok_or_else(|| self.nonsense(&answer))?;
        match (token.error, token.access_token) {
            (Some(error), _) => Err(self.refused_code(&error)),
            (None, Some(access)) if answer.is_ok() && is_token(&access) => Ok(Tokens {
                access: access.into(),
                refresh: token.refresh_token.map(Secret::from),
                scopes: token.scope.unwrap_or_default(),
                expires_in: token.expires_in,
            }),
            (None, _) => Err(self.nonsense(&answer)),
        }
    }

    fn refused_code(self, error: &str) -> ApiError {
        let provider = self.shown();
        match error {
            "bad_verification_code" | "invalid_grant" | "expired_token" => ApiError::bad_request(format!(
                "{provider} no longer takes this sign-in: it was used already or took too long. Sign in again"
            )),
            other => {
                // The installation's own mistake: its operator finds it in the log.
                let mut error =
                    ApiError::unavailable(format!("{provider} refuses this installation; tell its operator"));
                let named: String = other.chars().filter(char::is_ascii_graphic).take(80).collect();
                error.source = Some(format!("{provider} refuses the OAuth app: {named}"));
                error
            }
        }
    }

    /// Who the token is of.
    pub(super) async fn profile(self, app: &OAuthApp, token: &Secret) -> Result<Profile, ApiError> {
        match self {
            Self::GitHub => self.github_profile(app, token).await,
            Self::Google => {
                let answer = self.get(&format!("{}/v1/userinfo", app.api_url), token).await?;
                let user: GoogleUser = answer.json().ok_or_else(|| self.nonsense(&answer))?;
                user.profile().ok_or_else(|| self.nonsense(&answer))
            }
        }
    }

    async fn github_profile(self, app: &OAuthApp, token: &Secret) -> Result<Profile, ApiError> {
        let answer = self.get(&format!("{}/user", app.api_url), token).await?;
        let user: Option<GitHubUser> = answer.json();
        let user = user
            .filter(|user| is_login(&user.login))
            .ok_or_else(|| self.nonsense(&answer))?;
        // People may withhold their addresses: then there are none.
        let emails = self
            .ask(&format!("{}/user/emails?per_page=100", app.api_url), None, Some(token))
            .await?;
        let emails: Vec<GitHubEmail> = match emails.status {
            403 | 404 if !emails.limited() => Vec::new(),
            _ => self
                .checked(emails)
                .and_then(|answer| answer.json().ok_or_else(|| self.nonsense(&answer)))?,
        };
        Ok(user.profile(&emails))
    }

    async fn get(self, url: &str, token: &Secret) -> Result<Answer, ApiError> {
        self.checked(self.ask(url, None, Some(token)).await?)
    }

    /// The answer, when it is a good one.
    fn checked(self, answer: Answer) -> Result<Answer, ApiError> {
        if answer.is_ok() {
            return Ok(answer);
        }
        if answer.limited() {
            return Err(self.too_often(&answer));
        }
        Err(self.nonsense(&answer))
    }

    fn too_often(self, answer: &Answer) -> ApiError {
        let message = format!("{} is asked too often just now; try again in a while", self.shown());
        match answer.retry_after {
            Some(seconds) => ApiError::limited(message, seconds),
            None => ApiError::new(ErrorCode::RateLimited, message),
        }
    }

    /// An answer that means nothing to us: an outage, or something between us and the provider.
    fn nonsense(self, answer: &Answer) -> ApiError {
        if answer.limited() {
            return self.too_often(answer);
        }
        let mut error = ApiError::unavailable(format!(
            "{} does not answer as it should; try again later",
            self.shown()
        ));
        error.source = Some(format!(
            "{} answered {}, {} bytes",
            self.shown(),
            answer.status,
            answer.body.len()
        ));
        error
    }

    /// Asks; a form is sent by POST.
    async fn ask(self, url: &str, form: Option<String>, token: Option<&Secret>) -> Result<Answer, ApiError> {
        let unreachable = |cause: worker::Error| {
            let mut error = ApiError::unavailable(format!("{} does not answer; try again later", self.shown()));
            error.source = Some(format!("{}: {cause}", self.shown()));
            error
        };
        let headers = Headers::new();
        headers.set("accept", "application/json")?;
        headers.set("user-agent", "errand")?;
        if let Some(token) = token {
            headers.set("authorization", &format!("Bearer {}", token.expose()))?;
        }
        let mut init = RequestInit::new();
        // A token or a code must not follow a redirect to somebody else.
        init.with_redirect(RequestRedirect::Manual);
        if let Some(form) = form {
            headers.set("content-type", "application/x-www-form-urlencoded")?;
            init.with_method(Method::Post).with_body(Some(form.into()));
        }
        init.with_headers(headers);
        let request = Request::new_with_init(url, &init)?;
        rpc::in_time(Answer::fetch(request), LIMIT).await.map_err(unreachable)
    }
}

/// What a provider answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<u64>,
    no_more: bool,
}

impl Answer {
    async fn fetch(request: Request) -> worker::Result<Self> {
        let mut response = rpc::fetch(request, LIMIT).await?;
        let header = |name| response.headers().get(name).ok().flatten();
        let retry_after = header("retry-after").and_then(|text| text.parse().ok());
        let no_more = header("x-ratelimit-remaining").as_deref() == Some("0");
        let status = response.status_code();
        let body = rpc::bytes_up_to(&mut response, MAX_ANSWER).await?;
        Ok(Self {
            status,
            body,
            retry_after,
            no_more,
        })
    }

    const fn is_ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Whether it was refused for asking too often.
    const fn limited(&self) -> bool {
        self.status == 429 || (self.status == 403 && (self.no_more || self.retry_after.is_some()))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        json::read(&self.body).ok()
    }
}

#[derive(Debug, Default, Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    refresh_token: Option<String>,
    scope: Option<String>,
    expires_in: Option<i64>,
    error: Option<String>,
}

impl TokenAnswer {
    /// As JSON, or as the form that GitHub falls back to.
    fn read(answer: &Answer) -> Option<Self> {
        if let Some(read) = answer.json() {
            return Some(read);
        }
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(&answer.body) {
            match name.as_ref() {
                "access_token" => read.access_token = Some(value.into_owned()),
                "refresh_token" => read.refresh_token = Some(value.into_owned()),
                "scope" => read.scope = Some(value.into_owned()),
                "expires_in" => read.expires_in = value.parse().ok(),
                "error" => read.error = Some(value.into_owned()),
                _ => {}
            }
        }
        (read.access_token.is_some() || read.error.is_some()).then_some(read)
    }
}

#[derive(Debug, Deserialize)]
struct GitHubUser {
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct GitHubEmail {
    email: String,
    verified: bool,
    primary: bool,
}

impl GitHubUser {
    fn profile(self, emails: &[GitHubEmail]) -> Profile {
        let verified = || emails.iter().filter(|email| email.verified && is_address(&email.email));
        let primary = verified().find(|email| email.primary).or_else(|| verified().next());
        let nobodys = || format!("{}+{}@users.noreply.github.com", self.id, self.login);
        Profile {
            id: self.id.to_string(),
            email: primary.map_or_else(nobodys, |email| email.email.clone()),
            verified_emails: verified().map(|email| email.email.clone()).collect(),
            name: named(self.name.as_deref(), &self.login),
            login: self.login,
        }
    }
}

#[derive(Debug, Deserialize)]
struct GoogleUser {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: serde_json::Value,
    name: Option<String>,
}

impl GoogleUser {
    fn profile(self) -> Option<Profile> {
        // Google writes `true`; some of its older answers wrote "true".
        let verified = self.email_verified == true || self.email_verified == "true";
        let of_id = |id: &String| (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let id = Some(self.sub).filter(of_id)?;
        let email = self.email.filter(|email| verified && is_address(email));
        let verified_emails: Vec<String> = email.into_iter().collect();
        let email = verified_emails.first().cloned();
        let login = email.clone().unwrap_or_else(|| id.clone());
        Some(Profile {
            name: named(self.name.as_deref(), &login),
            email: email.unwrap_or_else(|| format!("{id}@users.errand.invalid")),
            login,
            verified_emails,
            id,
        })
    }
}

/// Whether a header can carry it.
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_login(text: &str) -> bool {
    let of_login = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'[' | b']');
    (1..=100).contains(&text.len()) && text.bytes().all(of_login)
}

/// Whether a provider's word for somebody's address can be one: it travels in headers, cookies of commits and lists.
fn is_address(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>');
    text.len() <= MAX_ADDRESS && text.contains('@') && text.chars().all(plain)
}

/// A name on one line, not too long for anything that shows or carries it.
fn named(name: Option<&str>, login: &str) -> String {
    let name = name.and_then(Label::cleaned).or_else(|| Label::cleaned(login));
    name.map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn google(json: &str) -> Option<Profile> {
        serde_json::from_str::<GoogleUser>(json).ok()?.profile()
    }

    #[test]
    fn an_address_counts_only_when_the_provider_verified_it() {
        let user = GitHubUser {
            id: 7,
            login: "octocat".to_owned(),
            name: Some("  \u{7}".to_owned()),
        };
        let email = |email: &str, verified, primary| GitHubEmail {
            email: email.to_owned(),
            verified,
            primary,
        };
        let profile = user.profile(&[
            email("boss@corp.example", false, true),
            email("o@x.example", true, false),
        ]);
        assert_eq!(
            (profile.email.as_str(), profile.name.as_str()),
            ("o@x.example", "octocat")
        );
        assert_eq!(profile.verified_emails, ["o@x.example"]);
        let unverified = google(r#"{"sub":"1","email":"boss@corp.example","email_verified":false}"#).unwrap();
        assert!(unverified.verified_emails.is_empty() && !unverified.email.contains("corp"));
        assert_eq!(
            google(r#"{"sub":"1","email":"a@b.example","email_verified":"true"}"#)
                .unwrap()
                .email,
            "a@b.example"
        );
        for nobody in [
            r#"{"sub":""}"#,
            r#"{"sub":"a b"}"#,
            r#"{"sub":"1\u0000"}"#,
            r#"{"sub":7}"#,
        ] {
            assert_eq!(google(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn what_no_header_and_no_commit_could_carry_is_no_address_login_or_token() {
        assert!(is_address("ada+x@errand.example") && is_login("octo-cat_corp") && is_login("app[bot]"));
        let long = format!("{}@x.example", "a".repeat(MAX_ADDRESS));
        for bad in [
            "",
            "ada",
            "a b@x.example",
            "a@x.example\r\nBcc: eve@x.example",
            "Ada <a@x.example>",
            "a\u{0}@x.example",
            &long,
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
        for bad in ["", "a b", "a/b", "\u{e9}", "a\n", &"a".repeat(101)] {
            assert!(!is_login(bad), "{bad:?}");
        }
        for bad in ["", "a b", "a\r\nx: y", "\u{e9}", &"a".repeat(MAX_TOKEN + 1)] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_read_as_json_or_as_a_form() {
        let read = |body: &str| {
            let answer = Answer {
                status: 200,
                body: body.as_bytes().to_vec(),
                retry_after: None,
                no_more: false,
            };
            TokenAnswer::read(&answer).map(|token| (token.access_token, token.error))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read(r#"{"access_token":"t","token_type":"bearer"}"#),
            Some((some("t"), None))
        );
        assert_eq!(read("access_token=t&scope=repo%2Cuser"), Some((some("t"), None)));
        assert_eq!(
            read("error=bad_verification_code&error_description=x"),
            Some((None, some("bad_verification_code")))
        );
        for nonsense in ["", "<html>", "[]", "{", "\"x\""] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
