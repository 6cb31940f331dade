//! Which models somebody may use, and which one they get who name none: what the levels of settings say of it.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::settings::{ModelPattern, SettingsPatch};
use errand_protocol::text::ModelId;

/// What holds for one person in one org.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelPolicy {
    /// What they get who name none, if they can use it.
    pub default: Option<ModelId>,
    allowed: BTreeMap<Role, Vec<ModelPattern>>,
}

impl ModelPolicy {
    /// From what each level says, the later ones winning. Who may use what is said by the system and the org (the first
    /// two) alone.
    pub fn resolve(levels: &[SettingsPatch]) -> Self {
        let mut policy = Self::default();
        for (level, patch) in levels.iter().enumerate() {
            if let Some(model) = &patch.default_model {
                policy.default = Some(model.clone());
            }
            if let Some(allowed) = patch.allowed_models.as_ref().filter(|_| level < 2) {
                policy.allowed.clone_from(allowed);
            }
        }
        policy
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

    fn patch(json: &str) -> SettingsPatch {
        serde_json::from_str(json).unwrap()
    }

    fn model(id: &str) -> ModelId {
        id.parse().unwrap()
    }

    #[test]
    fn a_role_may_use_what_the_org_says_and_all_when_it_says_nothing() {
        let org = patch(r#"{"allowedModels":{"member":["demo/*","openai/gpt-5-mini"],"viewer":[]}}"#);
        let policy = ModelPolicy::resolve(&[SettingsPatch::default(), org]);
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
        let policy = ModelPolicy::resolve(&[system.clone(), org, user]);
        assert_eq!(policy.default, Some(model("openai/gpt-5")));
        assert!(!policy.allows(Role::Member, &model("openai/gpt-5")));
        assert_eq!(ModelPolicy::resolve(&[system]).default, Some(model("demo/demo")));
    }
}
