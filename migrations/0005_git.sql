-- Credentials for hosts of repositories, one for each host of an org. `secret` is sealed (`platform::sealing`);
-- `repositories` is a JSON list of patterns, empty for all.
CREATE TABLE git_credentials (
    org_id TEXT NOT NULL REFERENCES orgs (id),
    host TEXT NOT NULL,
    username TEXT NOT NULL,
    secret TEXT NOT NULL,
    repositories TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id),
    used_at INTEGER,
    PRIMARY KEY (org_id, host)
);
