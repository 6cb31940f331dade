//! `GET /api/admin/audit`: reading the log page by page, as JSON or CSV.

use axum::body::Body;
use axum::response::Response;
use errand_access::{Action, Actor};
use errand_protocol::accounts::{AuditEntry, AuditPage};
use errand_protocol::time::Timestamp;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use serde::Deserialize;

use crate::d1::audit::{self, Filter};
use crate::http::error::{ApiError, json_response};
use crate::http::{App, allow, query};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1000;
/// Where the next page of a CSV begins; JSON has it inside.
const CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");

#[derive(Debug, Default, Deserialize)]
struct Query {
    limit: Option<u32>,
    cursor: Option<String>,
    user: Option<String>,
    action: Option<String>,
    target: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
}

/// `GET /api/admin/audit?limit=&cursor=&user=&action=&target=&outcome=&from=&to=&format=json|csv`.
#[worker::send]
pub(crate) async fn read(app: App, actor: Actor, uri: Uri) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadAudit)?;
    let query: Query = query::read(&uri, ApiError::bad_request("limit must be a whole number"))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(
            "limit",
            format!("limit must be between 1 and {MAX_LIMIT}"),
        ));
    }
    let csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(ApiError::invalid("format", "format must be json or csv")),
    };
    let mut entries = audit::list(&app.config, &actor.org, &filter(query)?, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > most;
    entries.truncate(most);
    let cursor = entries.last().filter(|_| more).map(|last| last.id.clone());
    if csv {
        return as_csv(&entries, cursor.as_deref());
    }
    Ok(json_response(StatusCode::OK, &AuditPage { entries, cursor }))
}

fn filter(query: Query) -> Result<Filter, ApiError> {
    let time = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, ApiError> {
        let read = |text: String| Timestamp::try_from(text).map_err(|e| ApiError::invalid(name, e.to_string()));
        text.map(read).transpose()
    };
    let ours = |cursor: &String| cursor.len() == 26 && cursor.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if query.cursor.as_ref().is_some_and(|cursor| !ours(cursor)) {
        return Err(ApiError::invalid(
            "cursor",
            "this cursor is not one that a list returned",
        ));
    }
    Ok(Filter {
        user: query.user,
        // No action of ours has a comma in it.
        actions: query
            .action
            .iter()
            .flat_map(|actions| actions.split(','))
            .filter(|action| !action.is_empty())
            .map(str::to_owned)
            .collect(),
        target: query.target,
        outcome: query.outcome,
        from: time("from", query.from)?,
        to: time("to", query.to)?,
        before: query.cursor,
    })
}

fn as_csv(entries: &[AuditEntry], cursor: Option<&str>) -> Result<Response, ApiError> {
    let mut response = http::Response::new(Body::from(csv(entries)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let disposition = HeaderValue::from_static("attachment; filename=\"errand-audit.csv\"");
    headers.insert(CONTENT_DISPOSITION, disposition);
    if let Some(cursor) = cursor {
        let cursor = HeaderValue::from_str(cursor).map_err(|e| ApiError::internal(e.to_string()))?;
        headers.insert(CURSOR, cursor);
    }
    Ok(response)
}

/// RFC 4180, with a header line.
fn csv(entries: &[AuditEntry]) -> String {
    let mut text = "id,at,userId,userName,credential,action,target,details,outcome,address,requestId\r\n".to_owned();
    for entry in entries {
        let at = entry.at.to_string();
        let details = details(entry);
        let user = entry.user_id.as_ref().map_or("", |id| id.as_str());
        let fields = [
            &entry.id,
            &at,
            user,
            &entry.user_name,
            &entry.credential,
            &entry.action,
            &entry.target,
            &details,
            &entry.outcome,
            entry.address.as_deref().unwrap_or_default(),
            &entry.request_id,
        ];
        text += &fields.map(field).join(",");
        text += "\r\n";
    }
    text
}

/// As JSON: a value may hold any character.
fn details(entry: &AuditEntry) -> String {
    if entry.details.is_empty() {
        return String::new();
    }
    serde_json::to_string(&entry.details).unwrap_or_default()
}

/// A field in quotes. One that a spreadsheet would take for a formula gets an apostrophe in front.
fn field(text: &str) -> String {
    // The wide forms count in spreadsheets of East Asian locales.
    let signs = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let formula = text.trim_start().starts_with(signs) || text.starts_with(['\t', '\r', '\n']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_to_every_spreadsheet() {
        assert_eq!(field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(field("a\r\nb"), "\"a\r\nb\"");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u{ff1d}1"] {
            assert_eq!(field(formula), format!("\"'{formula}\""), "{formula:?}");
        }
        assert_eq!(field("POST /api"), "\"POST /api\"");
    }

    #[test]
    fn a_time_or_cursor_that_is_none_is_refused() {
        let with = |query: &str| {
            let uri: Uri = format!("/api/admin/audit?{query}").parse().unwrap();
            filter(query::read(&uri, ApiError::bad_request("")).unwrap())
        };
        assert!(with("from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00.000Z").is_ok());
        assert!(with("cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV").is_ok());
        for bad in [
            "from=yesterday",
            "to=",
            "cursor=x",
            "cursor=%27%20OR%201%3D1%20--%20aaaaaaaaaa",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}
