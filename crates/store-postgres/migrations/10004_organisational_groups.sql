-- Organisational groups: addresses that stand for several people. No account has the address of a group: the program sees
-- to that, in the transactions that make one or the other.

CREATE TABLE organisational_groups (
    address      TEXT COLLATE "C" PRIMARY KEY,
    domain       TEXT COLLATE "C" NOT NULL REFERENCES sip_domains (name),
    display_name TEXT             NOT NULL,
    created_at   BIGINT           NOT NULL -- Unix seconds
);

-- Members may be of other domains, so they do not refer to accounts.
CREATE TABLE organisational_group_members (
    address TEXT COLLATE "C" NOT NULL REFERENCES organisational_groups (address) ON DELETE CASCADE,
    member  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (address, member)
);

CREATE INDEX organisational_group_members_by_member ON organisational_group_members (member);

CREATE FUNCTION leave_organisational_groups() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM organisational_group_members WHERE member = OLD.aor;
    RETURN NULL;
END
$$;

-- The database itself, so that a program of the release before need not know of groups.
CREATE TRIGGER account_leaves_its_groups AFTER DELETE ON accounts
FOR EACH ROW EXECUTE FUNCTION leave_organisational_groups();

-- Who has to be told of a change of a group.
CREATE INDEX contacts_by_uri ON contacts (uri);
