-- The words people are found by (`store::search`), folded by the program: the letters of SQLite are those of ASCII.
-- A word is found by the range of texts it is the beginning of, compared bytewise.

CREATE TABLE account_words (
    word TEXT NOT NULL,
    aor  TEXT NOT NULL REFERENCES accounts (aor) ON DELETE CASCADE,
    PRIMARY KEY (word, aor)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_words_by_account ON account_words (aor);

-- Accounts whose words have to be made. The database itself notes them, so that nobody who writes accounts has to know of
-- words; the program makes the words of what it writes at once, and those of all others before it answers a search.
CREATE TABLE accounts_without_words (
    aor TEXT NOT NULL PRIMARY KEY REFERENCES accounts (aor) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TRIGGER account_is_new AFTER INSERT ON accounts BEGIN
    INSERT OR IGNORE INTO accounts_without_words (aor) VALUES (NEW.aor);
END;

CREATE TRIGGER account_is_renamed AFTER UPDATE OF display_name ON accounts
WHEN NEW.display_name <> OLD.display_name BEGIN
    INSERT OR IGNORE INTO accounts_without_words (aor) VALUES (NEW.aor);
END;

INSERT INTO accounts_without_words (aor) SELECT aor FROM accounts;
