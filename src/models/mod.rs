//! Which models somebody's sessions can use in an org, where each is, and whose key opens it: what the installation
//! configures, what is known by name (`errand_ledger::vendors`), the keys that people and the org have stored, and what
//! the org allows. The session's owner's key goes before the org's, and that before the installation's.
//!
//! Read from the database at most every [`FRESH_MS`] for one person; who stores or removes a key is seen at once by the
//! isolate that does it. Does not: ask a provider anything (`http::llm`, `http::model_keys`).

mod default;
mod uses;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use errand_access::ModelPolicy;
use errand_ledger::vendors::{VENDORS, Vendor, VendorModel, vendor};
use errand_protocol::access::Role;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::models::{BaseUrl, Effort, KeyOwner, Lock, ModelChoice, ModelList};
use errand_protocol::runner::{Dialect, ModelSetup, ProviderSetup};
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;
use futures_util::future::try_join3;

pub(crate) use self::default::{Whose, check_default};
pub(crate) use self::uses::{Use, opened, sealed};
use crate::config::{Config, ModelConfig, Secret};
use crate::d1::{members, model_keys, settings};
use crate::http::error::ApiError;
use crate::platform::clock;

/// So long what was read is used again.
const FRESH_MS: i64 = 10_000;
/// So many people are remembered at once.
const MAX_KNOWN: usize = 1_000;
/// So many models an engine is told of: its configuration is one variable of its environment.
const MAX_SETUP: usize = 200;

/// Who and where.
type Member = (OrgId, UserId);

thread_local! {
    static KNOWN: RefCell<HashMap<Member, (Timestamp, Rc<Usable>)>> = RefCell::default();
    /// How often something was forgotten: what is read meanwhile is not remembered.
    static FORGOTTEN: Cell<u64> = const { Cell::new(0) };
}

/// What somebody's sessions can use.
#[derive(Debug)]
pub(crate) struct Usable {
    /// What they are in the org; [`None`] when they are no member any more.
    role: Option<Role>,
    /// Their name.
    pub(crate) name: String,
    policy: ModelPolicy,
    /// Of one provider the person's own first.
    keys: Vec<model_keys::Stored>,
}

/// A model, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its id, without an effort.
    pub(crate) id: ModelId,
    /// What it is and where.
    pub(crate) model: ModelConfig,
    /// Whether it can be told how much to think.
    pub(crate) efforts: bool,
    /// What opens it.
    pub(crate) key: Key,
}

/// What opens a model.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// It wants none.
    NotNeeded,
    /// The installation's.
    Installation(Secret),
    /// One that was stored.
    Stored(model_keys::Stored),
    /// Nobody has one.
    Missing,
}

/// Where a provider is, and how one talks to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) dialect: Dialect,
    pub(crate) base_url: String,
}

/// What the sessions of this person can use in this org.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn usable(config: &Config, org: &OrgId, user: &UserId) -> Result<Rc<Usable>, ApiError> {
    let whose = (org.clone(), user.clone());
    let now = clock::now();
    let fresh = KNOWN.with_borrow(|known| {
        let (at, usable) = known.get(&whose)?;
        (0..FRESH_MS).contains(&now.since(*at)).then(|| Rc::clone(usable))
    });
    if let Some(usable) = fresh {
        return Ok(usable);
    }
    let forgotten = FORGOTTEN.get();
    let (member, levels, keys) = try_join3(
        members::find(config, org, user),
        settings::levels(config, org, user),
        model_keys::list(config, org, user),
    )
    .await?;
    let usable = Rc::new(Usable {
        role: member.as_ref().map(|member| member.role),
        name: member.map(|member| member.name).unwrap_or_default(),
        policy: ModelPolicy::resolve(&levels),
        keys,
    });
    if FORGOTTEN.get() == forgotten {
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(whose, (now, Rc::clone(&usable)));
        });
    }
    Ok(usable)
}

/// A key of this org was stored or removed, or what it allows has changed: nothing that was read of it counts.
pub(crate) fn forget(org: &OrgId) {
    FORGOTTEN.set(FORGOTTEN.get().wrapping_add(1));
    KNOWN.with_borrow_mut(|known| known.retain(|(of, _), _| of != org));
}

impl Usable {
    /// A model by its id, with or without an effort, whether it can be used or not.
    pub(crate) fn find(&self, config: &Config, id: &ModelId) -> Option<Found> {
        let (id, _) = id.with_effort();
        self.all(config).find(|found| found.id == id)
    }

    /// A model that can be used.
    ///
    /// # Errors
    /// Invalid when there is no such model, forbidden when it is locked.
    pub(crate) fn open(&self, config: &Config, id: &ModelId) -> Result<Found, ApiError> {
        let found = self.find(config, id);
        let found = found
            .ok_or_else(|| ApiError::invalid("model", format!("{id} is not one of the models that there are here")))?;
        let (_, effort) = id.with_effort();
        if effort.is_some() && !found.efforts {
            let message = format!("{} cannot be told how much to think", found.id);
            return Err(ApiError::invalid("model", message));
        }
        match self.lock(&found) {
            None => Ok(found),
            Some(Lock::NoKey) => {
                let provider = &found.model.provider;
                let message = format!("{id} is locked: nobody has stored a key of {provider}");
                Err(ApiError::new(ErrorCode::Forbidden, message))
            }
            Some(Lock::Policy) => {
                let message = format!("{id} is locked: this org does not let people of this role use it");
                Err(ApiError::new(ErrorCode::Forbidden, message))
            }
        }
    }

    /// The model of a new session.
    ///
    /// # Errors
    /// When the wanted one cannot be used, or there is none at all.
    pub(crate) fn chosen(&self, config: &Config, wanted: Option<ModelId>) -> Result<ModelId, ApiError> {
        match wanted {
            Some(model) => self.open(config, &model).map(|_| model),
            None => self.default(config).ok_or_else(|| {
                if self.all(config).any(|found| self.lock(&found) == Some(Lock::Policy)) {
                    let message = "this org lets people of your role use none of the models that there is a key for";
                    return ApiError::new(ErrorCode::Forbidden, message);
                }
                ApiError::unavailable(
                    "there is no model that you can use here: store a provider's key, or set ERRAND_MODEL_BASE_URL and \
                     ERRAND_MODEL, or MODELS",
                )
            }),
        }
    }

    fn default(&self, config: &Config) -> Option<ModelId> {
        let wanted = self.policy.default.clone();
        let wanted = wanted.filter(|model| self.open(config, model).is_ok());
        wanted.or_else(|| Some(self.all(config).find(|found| self.lock(found).is_none())?.id))
    }

    /// All models, for people.
    pub(crate) fn list(&self, config: &Config) -> ModelList {
        let choice = |found: Found| {
            let lock = self.lock(&found);
            ModelChoice {
                locked: lock.is_some(),
                lock,
                key: found.key.owner(),
                efforts: if found.efforts {
                    Effort::ALL.to_vec()
                } else {
                    Vec::new()
                },
                id: found.id,
                name: found.model.name,
                demo: found.model.demo,
                context: found.model.context,
                output: found.model.output,
            }
        };
        ModelList {
            default: self.default(config),
            models: self.all(config).map(choice).collect(),
        }
    }

    /// How a runner's engine reaches the models that can be used: through the LLM proxy. The session's own model first.
    pub(crate) fn setups(&self, config: &Config, own: &ModelId) -> BTreeMap<String, ProviderSetup> {
        let (own, _) = own.with_effort();
        let mut usable: Vec<Found> = self.all(config).filter(|found| self.lock(found).is_none()).collect();
        usable.sort_by_key(|found| found.id != own);
        let mut setups = BTreeMap::new();
        for Found { model, .. } in usable.into_iter().take(MAX_SETUP) {
            let setup = setups.entry(model.provider.clone()).or_insert_with(|| ProviderSetup {
                dialect: model.dialect,
                path: format!("/llm/{}/v1", model.provider),
                models: Vec::new(),
            });
            setup.models.push(ModelSetup {
                id: model.model,
                name: model.name,
                context: model.context,
                output: model.output,
            });
        }
        setups
    }

    /// Where a provider is: the installation says, or it is known by name, or who stored its key said.
    pub(crate) fn address(&self, config: &Config, provider: &str) -> Option<Address> {
        known_address(config, provider).or_else(|| {
            let key = self.keys.iter().find(|key| key.shown.provider.as_str() == provider)?;
            let base_url = key.shown.base_url.as_ref()?.as_str().to_owned();
            Some(Address {
                dialect: Dialect::Openai,
                base_url,
            })
        })
    }

    fn lock(&self, found: &Found) -> Option<Lock> {
        let allowed = self.role.is_some_and(|role| self.policy.allows(role, &found.id));
        match found.key {
            _ if !allowed => Some(Lock::Policy),
            Key::Missing => Some(Lock::NoKey),
            Key::NotNeeded | Key::Installation(_) | Key::Stored(_) => None,
        }
    }

    /// The stored key that counts for a provider. One that came with an address opens only what is there.
    fn key(&self, config: &Config, provider: &str) -> Option<&model_keys::Stored> {
        let known = known_address(config, provider).is_some();
        let fits = |key: &&model_keys::Stored| {
            key.shown.provider.as_str() == provider && key.shown.base_url.is_none() == known
        };
        self.keys.iter().find(fits)
    }

    fn all<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = Found> + 'a {
        let configured = config.models.iter().map(move |(id, model)| {
            let stored = self.key(config, &model.provider).cloned().map(Key::Stored);
            let key = stored.unwrap_or_else(|| match &model.api_key {
                Some(key) => Key::Installation(key.clone()),
                None if model.needs_key => Key::Missing,
                None => Key::NotNeeded,
            });
            Found {
                id: id.clone(),
                model: model.clone(),
                efforts: model.efforts,
                key,
            }
        });
        let known = VENDORS
            .iter()
            .flat_map(|vendor| vendor.models.iter().map(move |model| (vendor, model)));
        let known = known.filter_map(move |(vendor, model)| self.known(config, vendor, model));
        configured.chain(known).chain(self.brought(config))
    }

    fn known(&self, config: &Config, vendor: &Vendor, model: &VendorModel) -> Option<Found> {
        let id: ModelId = format!("{}/{}", vendor.name, model.model).parse().ok()?;
        if config.models.get(&id).is_some() {
            return None;
        }
        let address = known_address(config, vendor.name)?;
        let key = self.key(config, vendor.name).cloned();
        Some(Found {
            id,
            model: ModelConfig {
                context: model.context,
                output: model.output,
                ..ModelConfig::at(vendor.name, model.model, model.name, address.dialect, address.base_url)
            },
            efforts: model.efforts,
            key: key.map_or(Key::Missing, Key::Stored),
        })
    }

    /// Models of the providers that came with a key.
    fn brought<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = Found> + 'a {
        let counts = move |key: &&model_keys::Stored| {
            let counting = self.key(config, key.shown.provider.as_str());
            key.shown.base_url.is_some() && counting.is_some_and(|counting| counting.id == key.id)
        };
        self.keys.iter().filter(counts).flat_map(|key| {
            let provider = key.shown.provider.as_str();
            let base_url = key
                .shown
                .base_url
                .as_ref()
                .map(|url| url.as_str().to_owned())
                .unwrap_or_default();
            key.models.iter().filter_map(move |model| {
                Some(Found {
                    id: format!("{provider}/{model}").parse().ok()?,
                    model: ModelConfig::at(provider, model, model, Dialect::Openai, base_url.clone()),
                    efforts: false,
                    key: Key::Stored(key.clone()),
                })
            })
        })
    }
}

impl Key {
    fn owner(&self) -> Option<KeyOwner> {
        match self {
            Self::NotNeeded | Self::Missing => None,
            Self::Installation(_) => Some(KeyOwner::Installation),
            Self::Stored(key) => Some(key.owner),
        }
    }
}

/// Where a provider is that needs no address with its key.
pub(crate) fn known_address(config: &Config, provider: &str) -> Option<Address> {
    if let Some(model) = config.models.provider(provider) {
        return Some(Address {
            dialect: model.dialect,
            base_url: model.base_url.trim_end_matches('/').to_owned(),
        });
    }
    let vendor = vendor(provider)?;
    let base_url = config.model_providers.get(provider).map(BaseUrl::as_str);
    Some(Address {
        dialect: vendor.dialect,
        base_url: base_url.unwrap_or(vendor.base_url).to_owned(),
    })
}
