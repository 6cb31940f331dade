//! What people see when a sign-in fails: a page of words, without scripts.

use axum::body::Body;
use axum::response::Response;
use errand_protocol::api::ErrorCode;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::provider::Provider;
use crate::http::error::ApiError;

/// Whether a browser asks, as against a program.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The look of the client's pages, without its files: light or dark as the system.
const STYLE: &str = "\
    :root{color-scheme:light dark;--bg:#fff;--ink:#1b1c21;--muted:#565963;--line:#cbccd4;--accent:#474ccd}\
    @media(prefers-color-scheme:dark){:root{--bg:#131417;--ink:#e7e8ec;--muted:#a8abb6;--line:#41444e;--accent:#5a5fe0}}\
    body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;background:var(--bg);color:var(--ink);\
    font:14px/22px ui-sans-serif,system-ui,sans-serif}\
    main{max-width:24rem;padding:2.5rem 1rem}h1{font-size:20px;line-height:28px;margin:0 0 8px}p{margin:0 0 12px;color:var(--muted);overflow-wrap:anywhere}\
    strong{color:var(--ink);font-weight:500}small{font-size:12px}nav{display:flex;flex-wrap:wrap;gap:8px;margin:20px 0 24px}\
    a{display:inline-flex;align-items:center;min-height:44px;padding:0 14px;border:1px solid var(--line);border-radius:6px;color:var(--ink);text-decoration:none;font-weight:500}\
    a.act{background:var(--accent);border-color:var(--accent);color:#fff}a:focus-visible{outline:2px solid var(--accent);outline-offset:2px}";

/// The error as a page with its status: what happened, as whom, and the ways out.
pub(super) fn of(error: &ApiError, provider: Provider, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error.log(request_id);
    let html = html(error, provider, request_id);
    let mut response = http::Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn html(error: &ApiError, provider: Provider, request_id: &str) -> String {
    let not_invited = error.code == ErrorCode::NotInvited;
    let dead_invitation = error
        .details
        .as_ref()
        .is_some_and(|details| details.get("invitation").is_some());
    let title = if dead_invitation {
        "This invitation is no longer good"
    } else if not_invited {
        "Coming soon"
    } else {
        "You are not signed in"
    };
    let message = sentence(&error.message);
    let name = match provider {
        Provider::GitHub => "GitHub",
        Provider::Google => "Google",
    };
    let who = error
        .details
        .as_ref()
        .and_then(|details| details.get("login")?.as_str());
    let who = who.map_or_else(String::new, |login| {
        let login = escaped(login);
        format!("<p>At {name} you are <strong>{login}</strong>. If you have another account there, sign out at {name} first.</p>")
    });
    let again = if not_invited {
        "Try another account"
    } else {
        "Try again"
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} · Errand</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{message}</p>{who}\
         <nav><a class=\"act\" href=\"/auth/{provider}\">{again}</a><a href=\"/sign-in\">Back to Errand</a></nav>\
         <p><small>{request_id}</small></p></main></body></html>",
        provider = provider.name(),
    )
}

/// The error's words as a sentence of a page.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    escaped(&format!(
        "{}{}.",
        first.unwrap_or_default(),
        letters.as_str().trim_end_matches('.')
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_no_markup() {
        assert_eq!(escaped("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        let mut error = ApiError::new(ErrorCode::NotInvited, "ask <b>somebody</b>");
        error.details = Some(serde_json::json!({ "login": "<script>1</script>" }));
        let page = html(&error, Provider::GitHub, "req_1");
        assert!(
            page.contains("<h1>Coming soon</h1><p>Ask &lt;b&gt;somebody&lt;/b&gt;.</p>"),
            "{page}"
        );
        assert!(page.contains("At GitHub you are <strong>&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    }
}
