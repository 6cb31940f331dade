//! Which routes there are, read from the code of the two routers: what is not in the table, or only there, is found.

use std::collections::BTreeSet;

/// Method in lower case, and the address with `{}` for each id.
pub(super) type Route = (String, String);

const WORKER: &str = include_str!("../router.rs");
const SESSION: &str = include_str!("../../session_agent/routes.rs");

/// All routes of the Worker and of sessions. `any` stands for a handler that looks at the method itself.
pub(super) fn routes() -> BTreeSet<Route> {
    let mut all = of_worker(WORKER);
    // What is handed on to the session.
    all.retain(|(_, path)| !matches!(path.as_str(), "/api/sessions/{}" | "/api/sessions/{}/{}"));
    all.extend(of_session(SESSION));
    all
}

/// An address with `{}` for each id.
pub(super) fn nameless(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The code without comments and white space.
fn dense(source: &str) -> String {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// `.route("/path", get(a).post(b))`.
fn of_worker(source: &str) -> BTreeSet<Route> {
    let code = dense(source);
    let mut found = BTreeSet::new();
    for chunk in code.split(".route(\"").skip(1) {
        let (path, handlers) = chunk.split_once("\",").expect("an address, then its handlers");
        let mut depth = 0_i32;
        let mut word = String::new();
        for c in handlers.chars() {
            match c {
                '(' => {
                    depth += 1;
                    if depth == 1 {
                        found.insert((word.clone(), nameless(path)));
                    }
                    word.clear();
                }
                ')' => depth -= 1,
                '.' => word.clear(),
                c => word.push(c),
            }
            if depth < 0 {
                break;
            }
        }
    }
    found
}

/// `(Method::Post, ["prompts", id]) =>`.
fn of_session(source: &str) -> BTreeSet<Route> {
    let code = dense(source);
    let mut found = BTreeSet::new();
    for chunk in code.split("(Method::").skip(1) {
        let (method, rest) = chunk.split_once(',').expect("a method, then its address");
        let Some(rest) = rest.strip_prefix('[') else { continue };
        let (parts, after) = rest.split_once(']').expect("an address ends");
        assert!(
            after.starts_with(")=>") && !parts.contains('|'),
            "one arm for each route: {chunk}"
        );
        let mut path = "/api/sessions/{}".to_owned();
        for part in parts.split(',').filter(|part| !part.is_empty()) {
            path += "/";
            path += part
                .strip_prefix('"')
                .and_then(|part| part.strip_suffix('"'))
                .unwrap_or("{}");
        }
        found.insert((method.to_lowercase(), path));
    }
    found
}

#[test]
fn routes_are_read_from_code() {
    let worker = of_worker(
        r#"Router::new().route("/a/{id}", get(x::get).put(y))
           .route("/b/{*rest}", any(z)) // .route("/c", get(c))
           .fallback(|| async { E::new("x") })"#,
    );
    let all = |routes: &[(&str, &str)]| -> BTreeSet<Route> {
        routes
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect()
    };
    assert_eq!(worker, all(&[("get", "/a/{}"), ("put", "/a/{}"), ("any", "/b/{}")]));
    let session = of_session(
        r#"(Method::Get, []) => a(), (Method::Post, ["x", id]) => b(id), (Method::Get, rest) => Err(rest),"#,
    );
    assert_eq!(
        session,
        all(&[("get", "/api/sessions/{}"), ("post", "/api/sessions/{}/x/{}")])
    );
}
