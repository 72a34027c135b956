-- Organisational groups: addresses that stand for several people. No account has the address of a group: the program sees
-- to that, in the transactions that make one or the other.

CREATE TABLE organisational_groups (
    address      TEXT    NOT NULL PRIMARY KEY,
    domain       TEXT    NOT NULL REFERENCES sip_domains (name),
    display_name TEXT    NOT NULL,
    created_at   INTEGER NOT NULL -- Unix seconds
) STRICT, WITHOUT ROWID;

-- Members may be of other domains, so they do not refer to accounts.
CREATE TABLE organisational_group_members (
    address TEXT NOT NULL REFERENCES organisational_groups (address) ON DELETE CASCADE,
    member  TEXT NOT NULL,
    PRIMARY KEY (address, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX organisational_group_members_by_member ON organisational_group_members (member);

CREATE TRIGGER account_leaves_its_groups AFTER DELETE ON accounts BEGIN
    DELETE FROM organisational_group_members WHERE member = OLD.aor;
END;

-- Who has to be told of a change of a group.
CREATE INDEX contacts_by_uri ON contacts (uri);
