-- Provider keys of people and orgs. See README.md for the rules of changing this.

-- `subject` is the id of the person whose key it is, or `org`. `sealed` is the key (`platform::sealing`), which is nowhere
-- else; `last_four` is what lists show of it. `models` is what an OpenAI-compatible provider said that it offers.
CREATE TABLE model_keys (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES orgs (id),
    subject TEXT NOT NULL,
    provider TEXT NOT NULL,
    sealed TEXT NOT NULL,
    last_four TEXT,
    base_url TEXT,
    models TEXT NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    used_at INTEGER,
    UNIQUE (org_id, subject, provider)
);
