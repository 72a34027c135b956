-- The words people are found by (`store::search`), folded by the program: which letters a server knows depends on how its
-- database was made.
-- A word is found by the range of texts it is the beginning of, compared bytewise.

CREATE TABLE account_words (
    word TEXT COLLATE "C" NOT NULL,
    aor  TEXT COLLATE "C" NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    PRIMARY KEY (word, aor)
);

CREATE INDEX account_words_by_account ON account_words (aor);

-- Accounts whose words have to be made. The database itself notes them, so that nobody who writes accounts has to know of
-- words, nor has a program of the release before; the program makes the words of what it writes at once, and those of all
-- others before it answers a search.
CREATE TABLE accounts_without_words (
    aor TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE
);

CREATE FUNCTION note_account_without_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_without_words (aor) VALUES (NEW.aor) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER account_is_new AFTER INSERT ON accounts
FOR EACH ROW EXECUTE FUNCTION note_account_without_words();

CREATE TRIGGER account_is_renamed AFTER UPDATE OF display_name ON accounts
FOR EACH ROW WHEN (NEW.display_name <> OLD.display_name) EXECUTE FUNCTION note_account_without_words();

INSERT INTO accounts_without_words (aor) SELECT aor FROM accounts;
