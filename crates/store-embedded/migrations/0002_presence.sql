-- What must survive of presence: static publications, access rules, acknowledged watchers, contact lists.
-- All of it goes with its account. Every query is for one user: the primary keys, which begin with it, serve them all.

-- A rowid table: the data may be a few kilobytes, too much for a tree that holds rows by their keys.
CREATE TABLE presence_publications (
    aor          TEXT    NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    category     TEXT    NOT NULL,
    instance     INTEGER NOT NULL,
    container    INTEGER NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 0), -- counts the changes of this publication
    published_at INTEGER NOT NULL,                     -- Unix milliseconds
    expires_at   INTEGER,                              -- Unix milliseconds
    data         BLOB    NOT NULL,
    PRIMARY KEY (aor, category, instance, container)
) STRICT;

CREATE TABLE presence_rules (
    aor        TEXT    NOT NULL PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE,
    revision   INTEGER NOT NULL CHECK (revision > 0), -- counts the changes of all containers
    containers TEXT    NOT NULL                       -- JSON array: number, version and members of each
) STRICT;

CREATE TABLE presence_acknowledged (
    aor     TEXT NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    watcher TEXT NOT NULL,
    PRIMARY KEY (aor, watcher)
) STRICT, WITHOUT ROWID;

CREATE TABLE contact_lists (
    aor        TEXT    NOT NULL PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE,
    delta      INTEGER NOT NULL CHECK (delta > 0), -- the number of the list: grows with each change
    last_group INTEGER NOT NULL                    -- the largest group number that was ever given
) STRICT, WITHOUT ROWID;

CREATE TABLE contact_groups (
    aor          TEXT    NOT NULL REFERENCES contact_lists (aor) ON DELETE CASCADE,
    id           INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    external_uri TEXT    NOT NULL,
    PRIMARY KEY (aor, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
    aor          TEXT    NOT NULL REFERENCES contact_lists (aor) ON DELETE CASCADE,
    uri          TEXT    NOT NULL,
    added        INTEGER NOT NULL, -- the number of the list at which it was added
    name         TEXT    NOT NULL,
    group_ids    TEXT    NOT NULL, -- JSON array of numbers in contact_groups, in the user's order
    subscribed   INTEGER NOT NULL CHECK (subscribed IN (0, 1)),
    external_uri TEXT    NOT NULL,
    PRIMARY KEY (aor, uri)
) STRICT, WITHOUT ROWID;
