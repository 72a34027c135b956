-- What must survive of presence: static publications, access rules, acknowledged watchers, contact lists.
-- All of it goes with its account. Every query is for one user: the primary keys, which begin with it, serve them all.
-- Numbers are BIGINT because those of the program have no sign.

CREATE TABLE presence_publications (
    aor          TEXT COLLATE "C" NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    category     TEXT COLLATE "C" NOT NULL,
    instance     BIGINT           NOT NULL,
    container    BIGINT           NOT NULL,
    version      BIGINT           NOT NULL CHECK (version > 0), -- counts the changes of this publication
    published_at BIGINT           NOT NULL,                     -- Unix milliseconds
    expires_at   BIGINT,                                        -- Unix milliseconds
    data         BYTEA            NOT NULL,
    PRIMARY KEY (aor, category, instance, container)
);

CREATE TABLE presence_rules (
    aor        TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE,
    revision   BIGINT           NOT NULL CHECK (revision > 0), -- counts the changes of all containers
    containers TEXT             NOT NULL                       -- JSON array: number, version and members of each
);

CREATE TABLE presence_acknowledged (
    aor     TEXT COLLATE "C" NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    watcher TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (aor, watcher)
);

CREATE TABLE contact_lists (
    aor        TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE,
    delta      BIGINT           NOT NULL CHECK (delta > 0), -- the number of the list: grows with each change
    last_group BIGINT           NOT NULL                    -- the largest group number that was ever given
);

CREATE TABLE contact_groups (
    aor          TEXT COLLATE "C" NOT NULL REFERENCES contact_lists (aor) ON DELETE CASCADE,
    id           BIGINT           NOT NULL,
    name         TEXT             NOT NULL,
    external_uri TEXT             NOT NULL,
    PRIMARY KEY (aor, id)
);

CREATE TABLE contacts (
    aor          TEXT COLLATE "C" NOT NULL REFERENCES contact_lists (aor) ON DELETE CASCADE,
    uri          TEXT COLLATE "C" NOT NULL,
    added        BIGINT           NOT NULL, -- the number of the list at which it was added
    name         TEXT             NOT NULL,
    group_ids    TEXT             NOT NULL, -- JSON array of numbers in contact_groups, in the user's order
    subscribed   BOOLEAN          NOT NULL,
    external_uri TEXT             NOT NULL,
    PRIMARY KEY (aor, uri)
);
