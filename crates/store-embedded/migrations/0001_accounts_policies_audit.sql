-- Accounts, sealed credentials, policies and grants, the audit log.
-- Addresses, domains and kinds are compared bytewise; callers write them in their canonical form.

CREATE TABLE sip_domains (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A site exists once an account or a policy names it.
CREATE TABLE sites (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    aor          TEXT    NOT NULL PRIMARY KEY,
    domain       TEXT    NOT NULL REFERENCES sip_domains (name),
    display_name TEXT    NOT NULL,
    site         TEXT    NOT NULL REFERENCES sites (name),
    enabled      INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at   INTEGER NOT NULL -- Unix seconds
) STRICT, WITHOUT ROWID;

-- Verifiers, encrypted under the pool's key file: this table alone signs nobody in.
CREATE TABLE credentials (
    aor    TEXT NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (aor, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
    kind       TEXT NOT NULL,
    scope_kind TEXT NOT NULL CHECK (scope_kind IN ('global', 'site', 'tag')),
    scope_name TEXT NOT NULL CHECK ((scope_kind = 'global') = (scope_name = '')),
    settings   TEXT NOT NULL, -- JSON object: setting -> value
    PRIMARY KEY (kind, scope_kind, scope_name)
) STRICT, WITHOUT ROWID;

-- At most one policy of a kind per account. A policy that goes takes its grants along.
CREATE TABLE grants (
    aor        TEXT NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    scope_kind TEXT NOT NULL DEFAULT 'tag' CHECK (scope_kind = 'tag'),
    tag        TEXT NOT NULL,
    PRIMARY KEY (aor, kind),
    FOREIGN KEY (kind, scope_kind, tag) REFERENCES policies (kind, scope_kind, scope_name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_by_policy ON grants (kind, scope_kind, tag);

CREATE TABLE audit (
    id       INTEGER NOT NULL PRIMARY KEY, -- order of writing
    at       INTEGER NOT NULL,             -- Unix seconds
    category TEXT    NOT NULL CHECK (category IN ('administration', 'sign-in')),
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    detail   TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_by_age ON audit (category, at);
