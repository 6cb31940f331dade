//! Reading the query of an address.

use std::collections::BTreeSet;

use axum::extract::Query;
use http::Uri;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// So much of a parameter's name is repeated.
const MAX_NAME: usize = 50;

/// The query as a `T`. `wrong`: the error when a parameter is not what it should be.
///
/// # Errors
/// Bad request, which names a parameter that is there twice; else `wrong`.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri, wrong: ApiError) -> Result<T, ApiError> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(query)| query)
        .map_err(|_| twice(uri).map_or(wrong, ApiError::bad_request))
}

fn twice(uri: &Uri) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut names = form_urlencoded::parse(uri.query()?.as_bytes()).map(|(name, _)| name);
    let name = names.find(|name| !seen.insert(name.clone()))?;
    let name: String = name.chars().take(MAX_NAME).collect();
    Some(format!("the query says {name} more than once"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Asked {
        limit: Option<u32>,
        from: Option<String>,
    }

    #[test]
    fn what_is_said_twice_is_named() {
        let ask = |uri: &'static str| {
            read::<Asked>(
                &Uri::from_static(uri),
                ApiError::invalid("limit", "limit must be a whole number"),
            )
        };
        let said = |uri: &'static str| ask(uri).unwrap_err().message;
        assert_eq!(said("/a?from=x&limit=1&from=y"), "the query says from more than once");
        assert_eq!(said("/a?limit=1&%6Cimit=1"), "the query says limit more than once");
        assert_eq!(said("/a?limit=ten"), "limit must be a whole number");
        let fine = Asked {
            limit: Some(1),
            from: None,
        };
        assert_eq!(ask("/a?limit=1&other=1&other=2").unwrap(), fine);
    }
}
