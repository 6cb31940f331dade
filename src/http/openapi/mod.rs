//! The API's document, `GET /api/openapi.json`: made from the table of operations in [`table`] and from the types of
//! `errand_protocol`, so that it says what the code does. It is a file of the client's (`client/public/api/`), which is
//! served beside the Worker without asking it; this module exists only in native tests.
//!
//! A new route takes one row of [`table`], and `npm run openapi` to write the file. What the tests here do not see
//! (statuses, bodies) `schemathesis` does (`tests/api`).

mod document;
mod op;
mod schemas;
mod source;
mod table;

use std::collections::BTreeSet;
use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/client/public/api/openapi.json");

#[test]
fn the_openapi_document_is_what_the_code_says() {
    let wanted = serde_json::to_string_pretty(&document::document()).unwrap() + "\n";
    if std::env::var_os("ERRAND_WRITE_OPENAPI").is_some() {
        fs::write(FILE, &wanted).unwrap();
    }
    let there = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        there == wanted,
        "client/public/api/openapi.json is stale: npm run openapi"
    );
}

#[test]
fn every_route_is_in_the_openapi_table_and_nothing_else_is() {
    let ops = || {
        table::groups()
            .into_iter()
            .flat_map(|(_, ops)| ops)
            .filter(|op| !op.is_file)
    };
    let mut routes = source::routes();
    let any: BTreeSet<String> = routes
        .iter()
        .filter(|(method, _)| method == "any")
        .map(|(_, path)| path.clone())
        .collect();
    routes.retain(|(_, path)| !any.contains(path));
    let listed = ops().map(|op| (op.method.to_owned(), source::nameless(op.path)));
    let (anyhow, listed): (BTreeSet<_>, BTreeSet<_>) = listed.partition(|(_, path)| any.contains(path));
    let missing: Vec<_> = routes.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&routes).collect();
    assert!(
        missing.is_empty(),
        "routes without a row in src/http/openapi/table: {missing:?}"
    );
    assert!(unknown.is_empty(), "rows without a route: {unknown:?}");
    assert_eq!(anyhow.into_iter().map(|(_, path)| path).collect::<BTreeSet<_>>(), any);
    let names: BTreeSet<&str> = ops().map(|op| op.name).collect();
    assert_eq!(names.len(), ops().count(), "two operations have one name");
}
