-- What an org says of its repositories, and secrets that sandboxes are given. See README.md for the rules of changing this.

-- `repo` is the address in the one form that all ways to write it have (`RepoUrl::key`); `url` is as it was written.
-- `egress` and `secrets` are JSON.
CREATE TABLE repositories (
    org_id TEXT NOT NULL REFERENCES orgs (id),
    repo TEXT NOT NULL,
    url TEXT NOT NULL,
    egress TEXT NOT NULL,
    setup TEXT,
    secrets TEXT NOT NULL,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (org_id, repo)
);

-- A secret of an org, of one of its repositories (`subject` is `repo` as above), or of a person who acts there. `sealed` is
-- the value, sealed (`platform::sealing`).
CREATE TABLE secrets (
    org_id TEXT NOT NULL REFERENCES orgs (id),
    scope TEXT NOT NULL CHECK (scope IN ('org', 'repository', 'user')),
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (org_id, scope, subject, name)
);
