//! `porticoctl status`.

use server::control::api::Status;

use super::failure::Failure;
use super::{Terms, node};

pub(super) async fn run(terms: &Terms) -> Result<(), Failure> {
    let status: Status = terms.client.get("/v1/status").await?;
    terms.show(&status, text);
    Ok(())
}

fn text(status: &Status) -> String {
    let mut text = format!(
        "portico {} · member {} · {} · up {}\n  roles      {}\n  domains    {}\n",
        status.version,
        status.member,
        status.state,
        uptime(status.uptime),
        status.roles.join(", "),
        status.domains.join(", "),
    );
    for (name, address) in &status.listeners {
        text.push_str(&format!("  {name:10} {address}\n"));
    }
    if let Some(pool) = &status.pool {
        let age = pool.lease_age_ms.map_or_else(|| "never".to_owned(), node::age);
        text.push_str(&format!(
            "  pool       {} · {} · lease {age} · members {}\n",
            pool.name,
            pool.validity,
            pool.members.join(", "),
        ));
    }
    if let Some(seconds) = status.certificate_remaining {
        text.push_str(&format!("  certificate ends in {} days\n", seconds / 86_400));
    }
    for (name, count) in &status.totals {
        text.push_str(&format!("  {name:10} {count}\n"));
    }
    for warning in &status.warnings {
        text.push_str(&format!("  ! {warning}\n"));
    }
    text
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_said_in_two_units_at_most() {
        assert_eq!(uptime(59), "0 min");
        assert_eq!(uptime(3_660), "1 h 1 min");
        assert_eq!(uptime(90_000), "1 d 1 h");
    }
}
