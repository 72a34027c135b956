//! What the server says on standard output: the ready line, and settings to paste into clients.

use std::net::SocketAddr;

use config::Config;
use serde::Serialize;
use server::{Demo, Ready, StartError};

/// The ready line for programs.
pub(super) fn ready_json(ready: &Ready) -> String {
    event("ready", ready)
}

/// The demo people for programs.
pub(super) fn demo_json(demo: &Demo) -> String {
    event("demo", demo)
}

fn event(name: &'static str, fields: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Event<'a, T> {
        event: &'static str,
        #[serde(flatten)]
        fields: &'a T,
    }
    // Invariant: our own structs of texts and numbers always have a JSON form.
    serde_json::to_string(&Event { event: name, fields }).unwrap_or_default()
}

/// How to call the control tool from here: by its name where the shell finds it, else by its path beside this program.
pub(super) fn control_tool() -> String {
    const NAME: &str = "porticoctl";
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(NAME).is_file()));
    let beside = std::env::current_exe().map(|program| program.with_file_name(NAME));
    match beside {
        Ok(path) if !found && path.is_file() => path.display().to_string(),
        _ => NAME.to_owned(),
    }
}

/// The ready message for people.
/// `tool` is how to call the control tool from here.
pub(super) fn ready_text(config: &Config, ready: &Ready, demo: Option<&Demo>, tool: &str) -> String {
    let data = config.data_dir.display();
    let mut text = format!(
        "portico {}: member {} serves {}; data in {data}\n\n",
        env!("CARGO_PKG_VERSION"),
        ready.member,
        config.pool.domains.join(", "),
    );
    // Clients first.
    let (sip, other): (Vec<_>, Vec<_>) = ready
        .listeners
        .iter()
        .partition(|(name, _)| name.starts_with("sip"));
    for (name, address) in sip.into_iter().chain(other) {
        text.push_str(&match *name {
            "sip_tls" => format!("  SIP over TLS   {address}\n"),
            "sip_tcp" => format!("  SIP over TCP   {address}  (clear text: for tests)\n"),
            "ops" => format!("  health         http://{address}/readyz  http://{address}/metrics\n"),
            other => format!("  {other:14} {address}\n"),
        });
    }
    if let Some(ca) = &ready.ca {
        text.push_str(&format!(
            "  authority      {}  (clients must trust it)\n",
            ca.display()
        ));
    }
    match demo {
        None => text.push_str(&how_to_connect(config, ready, tool)),
        Some(demo) => text.push_str(&demo_text(config, ready, demo, tool)),
    }
    text.push_str("\nStop with Ctrl-C.\n");
    text
}

fn how_to_connect(config: &Config, ready: &Ready, tool: &str) -> String {
    let domain = config.pool.domains.first().map_or("example.test", String::as_str);
    let server = match (&config.sip.advertise, client_address(ready)) {
        (Some(advertised), _) => advertised.to_string(),
        (None, Some((_, address))) => address.to_string(),
        (None, None) => "-".to_owned(),
    };
    format!(
        "\nA SIP client needs: server {server}, transport TLS, the authority above, and an account:\n  \
         {tool} --data-dir {} user create alice@{domain}\n",
        config.data_dir.display()
    )
}

fn demo_text(config: &Config, ready: &Ready, demo: &Demo, tool: &str) -> String {
    let mut text = String::from("\nDemo people\n");
    for person in &demo.people {
        let password = person
            .password
            .as_deref()
            .unwrap_or("(as printed at the first start)");
        text.push_str(&format!("  {:22} {password}\n", person.address));
    }
    text.push_str(&format!("  {:22} answers whatever you send\n", demo.echo));
    let forgotten = demo.people.iter().any(|person| person.password.is_none());
    text.push_str(&format!(
        "{}  {tool} --data-dir {} user passwd alice@{}\n",
        if forgotten {
            "Passwords are shown once. A new one:\n"
        } else {
            "These passwords are shown once and kept nowhere. A new one:\n"
        },
        config.data_dir.display(),
        demo.domain,
    ));
    if let Some((transport, address)) = client_address(ready) {
        text.push_str(&settings(ready, demo, transport, address));
    }
    text
}

/// Paste-ready settings for clients that were tried with this server.
fn settings(ready: &Ready, demo: &Demo, transport: &str, address: SocketAddr) -> String {
    let domain = &demo.domain;
    let ca = ready
        .ca
        .as_ref()
        .map_or_else(|| "<authority>".to_owned(), |path| path.display().to_string());
    let person = |index: usize, name: &str| {
        let person = demo.people.get(index);
        let password = person.and_then(|person| person.password.clone());
        (name.to_owned(), password.unwrap_or_else(|| "PASSWORD".to_owned()))
    };
    let (alice, alice_password) = person(0, "alice");
    let (bob, bob_password) = person(1, "bob");
    let (carol, carol_password) = person(2, "carol");
    let port = address.port();
    format!(
        "\nAny SIP client: server {address}, transport {transport}, user alice@{domain}, authority above\n\
         \nbaresip\n  \
           ~/.baresip/accounts  <sip:{alice}@{domain}>;auth_user={alice};auth_pass={alice_password};\
           outbound=\"sip:{address};transport=tls\";sipnat=outbound;regint=600\n  \
           ~/.baresip/config    sip_cafile {ca}\n\
         \nlinphone (linphonerc; it checks names, not addresses, so the server is localhost)\n  \
           [sip]\n  root_ca={ca}\n  default_proxy=0\n  \
           [auth_info_0]\n  username={bob}\n  realm={domain}\n  passwd={bob_password}\n  \
           [proxy_0]\n  reg_identity=sip:{bob}@{domain}\n  reg_proxy=<sip:localhost:{port};transport=tls>\n  \
           reg_route=<sip:localhost:{port};transport=tls;lr>\n  reg_sendregister=1\n\
         \nLync family, for example Pidgin with SIPE (Office Communicator account)\n  \
           user name {carol}@{domain}, password {carol_password}, server {address}, connection type SSL/TLS,\n  \
           authentication scheme NTLM; import the authority above in Tools > Certificates\n"
    )
}

/// The listener a client of this machine would use.
fn client_address(ready: &Ready) -> Option<(&'static str, SocketAddr)> {
    let tls = ready.listeners.get("sip_tls").map(|address| ("TLS", *address));
    tls.or_else(|| ready.listeners.get("sip_tcp").map(|address| ("TCP", *address)))
}

/// Why the server did not start, and what to change.
pub(super) fn start_error(error: &StartError, demo: bool) -> String {
    match error {
        StartError::Bind { key, address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            let variable = key.to_ascii_uppercase().replacen('.', "__", 1);
            let other = match demo {
                true => "move them all: --port-offset 1000".to_owned(),
                false => format!(
                    "choose another port: PORTICO_{variable}={} takes a free one",
                    SocketAddr::new(address.ip(), 0)
                ),
            };
            format!(
                "port {} is in use ({key} = \"{address}\"). Stop what uses it (`ss -ltnp 'sport = :{0}'` names it), or \
                 {other}",
                address.port(),
            )
        }
        StartError::Bind { key, address, source }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            format!(
                "{key} = \"{address}\": no permission to listen there; ports below 1024 need CAP_NET_BIND_SERVICE"
            )
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
