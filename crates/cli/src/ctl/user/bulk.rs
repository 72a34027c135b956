//! Many accounts at once, as CSV.

use std::io::Read;
use std::path::Path;

use hyper::Method;
use serde_json::json;
use server::control::api::{NewUser, User};

use super::all;
use crate::ctl::failure::Failure;
use crate::ctl::{Format, Terms, csv};
use crate::out;

/// Columns an import may have; the first two it must have.
const COLUMNS: [&str; 5] = ["address", "password", "display_name", "site", "ntlm"];

pub(super) async fn export(terms: &Terms) -> Result<(), Failure> {
    let users = all(terms).await?;
    if terms.format == Format::Json {
        terms.show(&users, |_| String::new());
        return Ok(());
    }
    let mut text = String::from("address,display_name,site,enabled,ntlm\n");
    for user in &users {
        let fields = [&user.address, &user.display_name, &user.site].map(|field| csv::field(field));
        text.push_str(&format!("{},{},{}\n", fields.join(","), user.enabled, user.ntlm));
    }
    out::print(&text);
    Ok(())
}

/// Creates what can be created and tells the rest, line by line.
pub(super) async fn import(terms: &Terms, file: &Path) -> Result<(), Failure> {
    let new_users = parse(&read(file)?)?;
    let total = new_users.len();
    let mut failed = 0_usize;
    for (line, new) in new_users {
        match terms.client.send::<User>(Method::POST, "/v1/users", &new).await {
            Ok(_) => {}
            Err(Failure::Refused(_, problem)) => {
                failed += 1;
                eprintln!("{}:{line}: {}: {}", file.display(), new.address, problem.message);
            }
            Err(other) => return Err(other),
        }
    }
    let created = total - failed;
    match terms.format {
        Format::Table => out::line(&format!("{created} of {total} accounts created")),
        Format::Json => out::line(&json!({ "created": created, "failed": failed }).to_string()),
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::Failed(format!("{failed} accounts were not created")))
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let problem = |error| Failure::Failed(format!("cannot read {}: {error}", file.display()));
    if file != Path::new("-") {
        return std::fs::read_to_string(file).map_err(problem);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(problem)?;
    Ok(text)
}

/// The accounts of a file with the line of each. Nothing is created unless the whole file can be read.
fn parse(text: &str) -> Result<Vec<(usize, NewUser)>, Failure> {
    let bad = |line: usize, what: &str| Failure::usage(format!("line {line}: {what}"));
    let records = csv::records(text).map_err(|line| bad(line, "a quoted field does not end"))?;
    let mut records = records.into_iter();
    let (_, head) = records
        .next()
        .ok_or_else(|| bad(1, "the first line must name the columns"))?;
    if let Some(unknown) = head.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(bad(
            1,
            &format!("column `{unknown}` is none of {}", COLUMNS.join(", ")),
        ));
    }
    if let Some(missing) = COLUMNS
        .iter()
        .take(2)
        .find(|name| !head.iter().any(|column| column == *name))
    {
        return Err(bad(1, &format!("column `{missing}` is missing")));
    }
    let user = |(line, record): (usize, Vec<String>)| {
        if record.len() != head.len() {
            return Err(bad(
                line,
                &format!("{} fields where {} are named", record.len(), head.len()),
            ));
        }
        let field = |name: &str| {
            let column = head.iter().position(|column| column == name)?;
            record.get(column).cloned()
        };
        let ntlm = match field("ntlm").as_deref() {
            None | Some("") => None,
            Some(word) => Some(
                word.parse()
                    .map_err(|_| bad(line, "ntlm is neither true nor false"))?,
            ),
        };
        let new = NewUser {
            address: field("address").unwrap_or_default(),
            display_name: field("display_name").unwrap_or_default(),
            site: field("site").unwrap_or_default(),
            password: field("password").unwrap_or_default(),
            ntlm,
        };
        Ok((line, new))
    };
    records.map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_by_the_names_of_their_columns() {
        let users = parse("password,address,ntlm,display_name\np1,a@x.test,true,\"Ann, A\"\np2,b@x.test,,\n")
            .unwrap();
        let (line, first) = &users[0];
        assert_eq!(
            (
                *line,
                first.address.as_str(),
                first.password.as_str(),
                first.display_name.as_str(),
                first.ntlm
            ),
            (2, "a@x.test", "p1", "Ann, A", Some(true))
        );
        assert_eq!(users[1].1.ntlm, None);
    }

    #[test]
    fn a_file_that_cannot_be_meant_is_refused_before_anything_is_created() {
        for (text, told) in [
            ("", "line 1: "),
            ("address,name\n", "column `name`"),
            ("address\n", "column `password` is missing"),
            ("address,password\na@x.test\n", "line 2: 1 fields"),
            ("address,password,ntlm\na@x.test,p,maybe\n", "line 2: ntlm"),
            ("address,password\n\"a@x.test,p\n", "line 2: a quoted field"),
        ] {
            let failure = parse(text).err().unwrap();
            assert!(failure.to_string().contains(told), "{text:?} gave {failure}");
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
