//! The tables of a directory as plain rows, for moving all of it from one backend to another.
//!
//! Every SQL backend has these tables with these columns, so that what is moved is exactly what is stored: sealed
//! credentials and the text of settings go over as they are, and nobody has to understand them.

use async_trait::async_trait;

use crate::StoreError;

/// A table of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// SIP domains.
    Domains,
    /// Sites.
    Sites,
    /// Accounts.
    Accounts,
    /// Organisational groups.
    Groups,
    /// Their members.
    GroupMembers,
    /// Sealed credentials.
    Credentials,
    /// Policies.
    Policies,
    /// Who was granted which.
    Grants,
    /// Static publications.
    Publications,
    /// Access rules.
    Rules,
    /// Watchers that users have seen.
    Acknowledged,
    /// Contact lists, by their numbers.
    ContactLists,
    /// Groups of contacts.
    ContactGroups,
    /// Contacts.
    Contacts,
    /// The audit log.
    Audit,
}

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellKind {
    /// Text.
    Text,
    /// A signed number of 64 bits.
    Number,
    /// Such a number, or NULL.
    OptionalNumber,
    /// Yes or no.
    Flag,
    /// Bytes.
    Bytes,
}

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// Of a [`CellKind::Text`] column.
    Text(String),
    /// Of a [`CellKind::Number`] or [`CellKind::OptionalNumber`] column.
    Number(i64),
    /// NULL of a [`CellKind::OptionalNumber`] column, which is never in a key.
    Absent,
    /// Of a [`CellKind::Flag`] column.
    Flag(bool),
    /// Of a [`CellKind::Bytes`] column.
    Bytes(Vec<u8>),
}

/// One row, in the order of [`Table::columns`].
pub type Row = Vec<Cell>;

/// A column: its name and type.
pub type Column = (&'static str, CellKind);

impl Table {
    /// Every table, those first to which others refer.
    pub const ALL: [Table; 15] = [
        Table::Domains,
        Table::Sites,
        Table::Accounts,
        Table::Groups,
        Table::GroupMembers,
        Table::Credentials,
        Table::Policies,
        Table::Grants,
        Table::Publications,
        Table::Rules,
        Table::Acknowledged,
        Table::ContactLists,
        Table::ContactGroups,
        Table::Contacts,
        Table::Audit,
    ];

    /// Its name in a database.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Domains => "sip_domains",
            Table::Sites => "sites",
            Table::Accounts => "accounts",
            Table::Groups => "organisational_groups",
            Table::GroupMembers => "organisational_group_members",
            Table::Credentials => "credentials",
            Table::Policies => "policies",
            Table::Grants => "grants",
            Table::Publications => "presence_publications",
            Table::Rules => "presence_rules",
            Table::Acknowledged => "presence_acknowledged",
            Table::ContactLists => "contact_lists",
            Table::ContactGroups => "contact_groups",
            Table::Contacts => "contacts",
            Table::Audit => "audit",
        }
    }

    /// Its columns; the first [`Table::key`] of them are the key.
    pub const fn columns(self) -> &'static [Column] {
        use CellKind::{Bytes, Flag, Number, OptionalNumber, Text};
        match self {
            Table::Domains | Table::Sites => &[("name", Text)],
            Table::Accounts => &[
                ("aor", Text),
                ("domain", Text),
                ("display_name", Text),
                ("site", Text),
                ("enabled", Flag),
                ("created_at", Number),
            ],
            Table::Groups => &[
                ("address", Text),
                ("domain", Text),
                ("display_name", Text),
                ("created_at", Number),
            ],
            Table::GroupMembers => &[("address", Text), ("member", Text)],
            Table::Credentials => &[("aor", Text), ("kind", Text), ("sealed", Bytes)],
            Table::Policies => &[
                ("kind", Text),
                ("scope_kind", Text),
                ("scope_name", Text),
                ("settings", Text),
            ],
            Table::Grants => &[("aor", Text), ("kind", Text), ("tag", Text)],
            Table::Publications => &[
                ("aor", Text),
                ("category", Text),
                ("instance", Number),
                ("container", Number),
                ("version", Number),
                ("published_at", Number),
                ("expires_at", OptionalNumber),
                ("data", Bytes),
            ],
            Table::Rules => &[("aor", Text), ("revision", Number), ("containers", Text)],
            Table::Acknowledged => &[("aor", Text), ("watcher", Text)],
            Table::ContactLists => &[("aor", Text), ("delta", Number), ("last_group", Number)],
            Table::ContactGroups => &[
                ("aor", Text),
                ("id", Number),
                ("name", Text),
                ("external_uri", Text),
            ],
            Table::Contacts => &[
                ("aor", Text),
                ("uri", Text),
                ("added", Number),
                ("name", Text),
                ("group_ids", Text),
                ("subscribed", Flag),
                ("external_uri", Text),
            ],
            Table::Audit => &[
                ("id", Number),
                ("at", Number),
                ("category", Text),
                ("actor", Text),
                ("action", Text),
                ("subject", Text),
                ("detail", Text),
            ],
        }
    }

    /// How many columns make the key.
    pub const fn key(self) -> usize {
        match self {
            Table::Domains | Table::Sites | Table::Accounts | Table::Groups | Table::Audit => 1,
            Table::Rules | Table::ContactLists => 1,
            Table::Credentials | Table::Grants | Table::GroupMembers => 2,
            Table::Acknowledged | Table::ContactGroups | Table::Contacts => 2,
            Table::Policies => 3,
            Table::Publications => 4,
        }
    }

    /// The statement that reads a page in order of the key: `after` says whether there are keys to start behind,
    /// `parameter` writes the n-th parameter, from 1. The last parameter is the number of rows.
    pub fn page_statement(self, after: bool, parameter: impl Fn(usize) -> String) -> String {
        let names: Vec<&str> = self.columns().iter().map(|(name, _)| *name).collect();
        let key = names[..self.key()].join(", ");
        let mut statement = format!("SELECT {} FROM {}", names.join(", "), self.name());
        let mut parameters = 0;
        if after {
            parameters = self.key();
            let behind: Vec<String> = (1..=parameters).map(&parameter).collect();
            statement.push_str(&format!(" WHERE ({key}) > ({})", behind.join(", ")));
        }
        statement.push_str(&format!(" ORDER BY {key} LIMIT {}", parameter(parameters + 1)));
        statement
    }
}

/// Reads a directory row by row.
#[async_trait]
pub trait Export: Send {
    /// At most `limit` rows of a table in order of its key (bytewise), behind the row `after`.
    async fn page(&mut self, table: Table, after: Option<&Row>, limit: u32) -> Result<Vec<Row>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_behind_the_whole_key() {
        let dollar = |n| format!("${n}");
        assert_eq!(
            Table::Grants.page_statement(true, dollar),
            "SELECT aor, kind, tag FROM grants WHERE (aor, kind) > ($1, $2) ORDER BY aor, kind LIMIT $3"
        );
        assert_eq!(
            Table::Sites.page_statement(false, dollar),
            "SELECT name FROM sites ORDER BY name LIMIT $1"
        );
    }
}
