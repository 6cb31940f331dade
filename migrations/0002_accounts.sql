-- Identities, invitations, groups, API keys, the audit log, settings. See README.md for the rules of changing this.

-- The org that people of this installation join; the first of them owns it.
CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    org_id TEXT NOT NULL REFERENCES orgs (id),
    created_at INTEGER NOT NULL
);

-- Who somebody is at GitHub or Google: by the provider's own id, which is never given to anybody else.
CREATE TABLE identities (
    provider TEXT NOT NULL CHECK (provider IN ('github', 'google')),
    provider_user_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    login TEXT NOT NULL,
    email TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (provider, provider_user_id)
);
CREATE INDEX identities_by_user ON identities (user_id);

-- A person's tokens at a provider, sealed (`platform::sealing`).
CREATE TABLE oauth_tokens (
    user_id TEXT NOT NULL REFERENCES users (id),
    provider TEXT NOT NULL,
    access TEXT NOT NULL,
    refresh TEXT,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, provider)
);

-- States of sign-ins that came back: each is good once. `state_hash` is the SHA-256 of the state.
CREATE TABLE oauth_states (
    state_hash TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
);
CREATE INDEX oauth_states_by_expiry ON oauth_states (expires_at);

-- Where a sign-in is used. It lasts until `expires_at`, which moves on while it is used.
ALTER TABLE auth_sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE auth_sessions ADD COLUMN address TEXT;
ALTER TABLE auth_sessions ADD COLUMN used_at INTEGER;

-- `code_hash` is the SHA-256 of the code in the link.
CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES orgs (id),
    code_hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    email TEXT,
    created_by TEXT NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_by TEXT REFERENCES users (id),
    used_at INTEGER
);
CREATE INDEX invitations_by_org ON invitations (org_id, created_at);

CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES orgs (id),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (org_id, name)
);

CREATE TABLE group_members (
    org_id TEXT NOT NULL REFERENCES orgs (id),
    group_id TEXT NOT NULL REFERENCES groups (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_by_user ON group_members (org_id, user_id);

-- `key_hash` is the SHA-256 of the key, which is nowhere; `prefix` is what lists show of it. A key is never removed:
-- the audit log names it.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES orgs (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    key_hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    repo TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER,
    revoked_at INTEGER
);
CREATE INDEX api_keys_by_org ON api_keys (org_id, user_id);

-- Who did what, by what credential, from where, and how it ended. Rows are only added.
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    user_id TEXT,
    user_name TEXT NOT NULL,
    credential TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    address TEXT,
    request_id TEXT NOT NULL
);
CREATE INDEX audit_by_org ON audit (org_id, at DESC, id DESC);

-- One value of one setting. `subject` is the org's, group's or user's id.
CREATE TABLE settings (
    org_id TEXT NOT NULL REFERENCES orgs (id),
    level TEXT NOT NULL CHECK (level IN ('org', 'group', 'user')),
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (org_id, level, subject, key)
);
