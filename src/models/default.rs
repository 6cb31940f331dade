//! Whether a model that is to be the default of an org, a group or a person can be used by anybody whom it is for. A default
//! that nobody can use is never an error afterwards: those sessions silently get another model.

use errand_access::{Levels, ModelPolicy};
use errand_protocol::access::Role;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::settings::SettingsPatch;
use errand_protocol::text::ModelId;

use super::{Found, Key, Usable};
use crate::config::Config;
use crate::d1::model_keys;
use crate::http::error::ApiError;

/// Whom a default is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// People of the org, or of a group: one of them has to be able to use it, by a key of their own if need be.
    Many,
    /// This member, who is that in the org.
    One(&'a UserId, Role),
}

/// Refuses a default that nobody could use; `org_says` is what the org says of models then.
///
/// # Errors
/// Invalid, with the reason; or when the database cannot be read.
pub(crate) async fn check_default(
    config: &Config,
    org: &OrgId,
    whose: Whose<'_>,
    org_says: SettingsPatch,
    model: &ModelId,
) -> Result<(), ApiError> {
    let (provider, _) = model.split();
    let (keys, roles) = match whose {
        Whose::Many => (
            model_keys::of_provider(config, org, provider).await?,
            &[Role::Member, Role::Admin, Role::Owner][..],
        ),
        Whose::One(user, ref role) => (model_keys::list(config, org, user).await?, std::slice::from_ref(role)),
    };
    let policy = ModelPolicy::resolve(&Levels {
        system: config.settings.clone(),
        org: org_says,
        ..Levels::default()
    });
    let refused = |why: String| Err(ApiError::invalid("defaultModel", why));
    let Some(found) = best(config, keys, model) else {
        return refused(format!("{model} is not one of the models that there are here"));
    };
    if model.with_effort().1.is_some() && !found.efforts {
        return refused(format!("{} cannot be told how much to think", found.id));
    }
    if matches!(found.key, Key::Missing) {
        return refused(format!("nobody could use {model}: there is no key of {provider}"));
    }
    if !roles.iter().any(|role| policy.allows(*role, &found.id)) {
        return refused(format!("nobody for whom this is said may use {model}"));
    }
    Ok(())
}

/// The model as whoever has the best of these keys finds it.
fn best(config: &Config, keys: Vec<model_keys::Stored>, model: &ModelId) -> Option<Found> {
    let with = |keys: Vec<model_keys::Stored>| {
        let usable = Usable {
            role: None,
            name: String::new(),
            policy: ModelPolicy::default(),
            keys,
        };
        usable.find(config, model)
    };
    let by_key = keys.into_iter().filter_map(|key| with(vec![key]));
    let opens = |found: &Found| !matches!(found.key, Key::Missing);
    by_key.into_iter().find(opens).or_else(|| with(Vec::new()))
}
