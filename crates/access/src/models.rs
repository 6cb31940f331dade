//! Which models somebody may use, and which one they get who name none: what the levels of settings say of it.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::settings::ModelPattern;
use errand_protocol::text::ModelId;

use crate::settings::Levels;

/// What holds for one person in one org.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelPolicy {
    /// What they get who name none, if they can use it.
    pub default: Option<ModelId>,
    allowed: BTreeMap<Role, Vec<ModelPattern>>,
}

impl ModelPolicy {
    /// From what each level says, the later ones winning; of several groups the name that sorts first. Who may use what is
    /// said by the system and the org alone.
    pub fn resolve(levels: &Levels) -> Self {
        let Levels {
            system,
            org,
            groups,
            user,
        } = levels;
        let of_groups = groups.iter().filter_map(|group| group.default_model.as_ref()).min();
        let default = user.default_model.as_ref().or(of_groups).or(org.default_model.as_ref());
        let allowed = org.allowed_models.as_ref().or(system.allowed_models.as_ref());
        Self {
            default: default.or(system.default_model.as_ref()).cloned(),
            allowed: allowed.cloned().unwrap_or_default(),
        }
    }

    /// Whether somebody with this role may use this model. A role of which nothing is said may use all.
    pub fn allows(&self, role: Role, model: &ModelId) -> bool {
        let patterns = self.allowed.get(&role);
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(model)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errand_protocol::settings::SettingsPatch;

    fn patch(json: &str) -> SettingsPatch {
        serde_json::from_str(json).unwrap()
    }

    fn model(id: &str) -> ModelId {
        id.parse().unwrap()
    }

    #[test]
    fn a_role_may_use_what_the_org_says_and_all_when_it_says_nothing() {
        let org = patch(r#"{"allowedModels":{"member":["demo/*","openai/gpt-5-mini"],"viewer":[]}}"#);
        let policy = ModelPolicy::resolve(&Levels {
            org,
            ..Levels::default()
        });
        let may = |role, id| policy.allows(role, &model(id));
        assert!(may(Role::Member, "demo/demo") && may(Role::Member, "openai/gpt-5-mini"));
        assert!(!may(Role::Member, "openai/gpt-5") && !may(Role::Viewer, "demo/demo"));
        assert!(may(Role::Admin, "openai/gpt-5"), "nothing is said of admins");
    }

    #[test]
    fn a_person_chooses_a_default_and_not_what_they_may_use() {
        let system = patch(r#"{"defaultModel":"demo/demo"}"#);
        let org = patch(r#"{"allowedModels":{"member":["demo/*"]}}"#);
        let user = patch(r#"{"defaultModel":"openai/gpt-5","allowedModels":{"member":["*"]}}"#);
        let policy = ModelPolicy::resolve(&Levels {
            system: system.clone(),
            org,
            user,
            groups: Vec::new(),
        });
        assert_eq!(policy.default, Some(model("openai/gpt-5")));
        assert!(!policy.allows(Role::Member, &model("openai/gpt-5")));
        let alone = Levels {
            system,
            ..Levels::default()
        };
        assert_eq!(ModelPolicy::resolve(&alone).default, Some(model("demo/demo")));
    }
}
