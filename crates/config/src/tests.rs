//! What an operator sees: values that arrive from each layer, and problems that name their place.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// A configuration file with this text, and its path.
fn file(text: &str) -> (tempfile::NamedTempFile, PathBuf) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_owned();
    (file, path)
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

/// The problems of a file, one per line, with the path replaced by `FILE`.
fn problems_of(text: &str) -> Vec<String> {
    let (_guard, path) = file(text);
    let problems = Layers::new("data").file(&path).load().unwrap_err();
    let shown = problems.to_string().replace(&path.display().to_string(), "FILE");
    shown.lines().map(str::to_owned).collect()
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn with_nothing_configured_everything_is_on_loopback_and_in_the_data_directory() {
    let config = Layers::new("data").load().unwrap();
    assert_eq!(config.sip.tls_listen, address("127.0.0.1:5061"));
    assert_eq!(config.sip.tcp_listen, None);
    assert_eq!(config.ops.listen, address("127.0.0.1:9090"));
    assert_eq!(
        config.store.database,
        Database::Sqlite(PathBuf::from("data/portico.db"))
    );
    assert_eq!(config.secrets.key_file, PathBuf::from("data/pool.key"));
    assert!(!config.auth.ntlm && config.auth.digest_md5);
    assert_eq!(config.pool.domains, ["example.test"]);
}

#[test]
fn a_stronger_layer_wins_over_a_weaker_one() {
    let (_guard, path) =
        file("[pool]\nmember = \"file\"\nfqdn = \"file.example.test\"\n[auth]\nntlm = false\n");
    let (config, settings) = Layers::new("data")
        .flag("--member", "pool.member", "flag")
        .environment(variables(&[
            ("PORTICO_POOL__MEMBER", "variable"),
            ("PORTICO_OPS__LISTEN", "127.0.0.1:0"),
        ]))
        .file(&path)
        .command("demo", "auth.ntlm", "true")
        .command("demo", "auth.digest_md5", "false")
        .load_with_origins()
        .unwrap();
    assert_eq!(config.pool.member, "flag");
    assert_eq!(config.pool.fqdn, "file.example.test");
    assert_eq!(config.ops.listen, address("127.0.0.1:0"));
    assert!(!config.auth.ntlm, "the file stands above the command's default");
    assert!(
        !config.auth.digest_md5,
        "nobody stands above the command's default"
    );

    let origin = |key: &str| settings.iter().find(|s| s.key == key).unwrap().origin.to_string();
    assert_eq!(origin("pool.member"), "--member");
    assert_eq!(origin("pool.fqdn"), format!("{}:3", path.display()));
    assert_eq!(origin("ops.listen"), "PORTICO_OPS__LISTEN");
    assert_eq!(origin("auth.digest_md5"), "demo");
    assert_eq!(origin("tls.certificate"), "default");
}

#[test]
fn every_type_of_value_can_come_from_a_variable() {
    let config = Layers::new("data")
        .environment(variables(&[
            ("PORTICO_POOL__DOMAINS", "one.test, Two.test"),
            ("PORTICO_SIP__TCP_LISTEN", "[::1]:5060"),
            ("PORTICO_SIP__PROXY_PROTOCOL", "trusted"),
            ("PORTICO_SIP__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
            ("PORTICO_AUTH__NTLM", "true"),
            ("PORTICO_STORE__DATABASE", "sqlite:/var/lib/portico/p.db"),
            ("PORTICO_LIMITS__CONNECTIONS", "100"),
            ("PORTICO_LIMITS__SIGN_IN_TIMEOUT", "2m"),
        ]))
        .load()
        .unwrap();
    assert_eq!(config.pool.domains, ["one.test", "two.test"]);
    assert_eq!(config.sip.tcp_listen, address("[::1]:5060"));
    assert_eq!(config.sip.proxy_protocol, ProxyProtocol::Trusted);
    assert_eq!(config.sip.trusted_proxies.len(), 2);
    assert!(config.auth.ntlm);
    assert_eq!(
        config.store.database,
        Database::Sqlite(PathBuf::from("/var/lib/portico/p.db"))
    );
    assert_eq!(config.limits.connections, 100);
    assert_eq!(config.limits.sign_in_timeout, Duration::from_secs(120));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_line_and_the_key_that_was_meant() {
    let problems =
        problems_of("[pool]\nmember = \"fe1\"\n\n[sip]\n# a comment\ntls_lisen = \"127.0.0.1:5061\"\n");
    assert_eq!(
        problems,
        ["FILE:6: sip.tls_lisen: no such key; did you mean sip.tls_listen?"]
    );
}

#[test]
fn an_unknown_section_is_named_too() {
    let problems = problems_of("[sips]\ntls_listen = \"127.0.0.1:5061\"\n[weather]\nforecast = 1\n");
    assert_eq!(
        problems,
        [
            "FILE:2: sips.tls_listen: no such key; did you mean sip.tls_listen?",
            "FILE:4: weather.forecast: no such key"
        ]
    );
}

#[test]
fn an_unknown_variable_is_named_with_its_name() {
    let problems = Layers::new("data")
        .environment(variables(&[
            ("PORTICO_AUTH__NTML", "true"),
            ("PORTICO_SIP_TLS_LISTEN", "off"),
        ]))
        .load()
        .unwrap_err();
    assert_eq!(
        problems.to_string(),
        "PORTICO_SIP_TLS_LISTEN: no such variable; did you mean PORTICO_SIP__TLS_LISTEN?\n\
         PORTICO_AUTH__NTML: no such key; did you mean auth.ntlm?"
    );
}

#[test]
fn variables_an_orchestrator_sets_are_not_ours() {
    let variables = variables(&[
        ("PORTICO_SERVICE_HOST", "10.0.0.1"),
        ("PORTICO_PORT_5061_TCP", "tcp://10.0.0.1:5061"),
        ("PORTICO_IMAGE", "portico/server"),
        ("PATH", "/bin"),
    ]);
    assert!(Layers::new("data").environment(variables).load().is_ok());
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let problems = problems_of(
        "[pool]\ndomains = []\nmember = \"not a name\"\n[sip]\ntls_listen = 5061\ntcp_listen = \"0.0.0.0:5060\"\n\
         proxy_protocol = \"maybe\"\n[auth]\nntlm = \"yes\"\n[limits]\nconnections = 0\nhandshake_timeout = \"fast\"\n",
    );
    let lines: Vec<&str> = problems
        .iter()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "FILE:2", "FILE:3", "FILE:5", "FILE:6", "FILE:7", "FILE:9", "FILE:11", "FILE:12"
        ]
    );
    assert!(
        problems[2].contains("5061 is not an address with a port"),
        "{}",
        problems[2]
    );
    assert!(
        problems[5].contains("\"yes\" is not true or false"),
        "{}",
        problems[5]
    );
    assert!(problems[6].contains("0 is not between 1 and"), "{}", problems[6]);
}

#[test]
fn clear_text_outside_loopback_needs_a_word_that_it_is_meant() {
    let open = "[sip]\ntcp_listen = \"192.0.2.1:5060\"\n";
    assert!(problems_of(open)[0].contains("sip.tcp_internal"));
    let (_guard, path) = file(&format!("{open}tcp_internal = true\n"));
    assert!(Layers::new("data").file(&path).load().is_ok());
}

#[test]
fn names_of_a_server_behind_a_balancer_are_read_and_their_slips_told() {
    let (_guard, path) = file(
        "[sip]\nadvertise = \"SIP.example.com:443\"\naliases = [\"lb.example.com\", \"[2001:db8::1]\", \"192.0.2.1\"]\n",
    );
    let sip = Layers::new("data").file(&path).load().unwrap().sip;
    let advertised = sip.advertise.unwrap();
    assert_eq!(
        (advertised.host.as_str(), advertised.port),
        ("sip.example.com", Some(443))
    );
    let aliases: Vec<&str> = sip.aliases.iter().map(Host::as_str).collect();
    assert_eq!(aliases, ["lb.example.com", "[2001:db8::1]", "192.0.2.1"]);

    let problems =
        problems_of("[sip]\nadvertise = \"sip:sip.example.com\"\naliases = [\"lb.example.com:5061\"]\n");
    assert!(
        problems[0].starts_with("FILE:2: sip.advertise: \"sip:sip.example.com\" is not a host"),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with(
            "FILE:3: sip.aliases: [\"lb.example.com:5061\"] is not a list of hosts without ports"
        ),
        "{problems:?}"
    );
}

#[test]
fn a_store_there_is_not_is_refused_without_showing_its_password() {
    let problems = problems_of(
        "[store]\nstate = \"memcached://:hunter2@cache:11211\"\ndatabase = \"mysql://portico:hunter2@db/portico?x=hunter2\"\n",
    );
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, wanted) in problems.iter().zip([
        "FILE:2: store.state: \"memcached://***@cache:11211\" is not \"memory\", \"redis://host:port\"",
        "FILE:3: store.database: \"mysql://***@db/portico?***\" is not \"sqlite:<path>\"",
    ]) {
        assert!(problem.starts_with(wanted), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn the_password_of_a_pool_s_redis_is_not_shown() {
    let (_guard, path) = file(
        "[store]\nstate = \"redis+sentinel://:hunter2@a,b/pool?sentinel_password=hunter2\"\n\
         database = \"postgres://portico@db/portico\"\n",
    );
    let (config, settings) = Layers::new("data").file(&path).load_with_origins().unwrap();
    let shown: Vec<String> = settings.into_iter().map(|setting| setting.value).collect();
    assert!(
        shown.contains(&"\"redis+sentinel://:***@a,b/pool?***\"".to_owned()),
        "{shown:?}"
    );
    let StateStore::Redis(url) = config.store.state else {
        panic!("not a redis");
    };
    assert!(url.with_password().contains("?sentinel_password=hunter2"));
    assert!(!format!("{url:?}").contains("hunter2"));
}

#[test]
fn members_of_a_pool_share_a_database() {
    let problems = problems_of("[store]\nstate = \"redis://cache:6379\"\n");
    assert!(
        problems[0].contains("members of a pool share their accounts"),
        "{problems:?}"
    );
}

#[test]
fn a_pool_needs_a_shared_database_and_shows_no_password() {
    let problems = problems_of("[store]\nstate = \"redis://:hunter2@cache:6379\"\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("set a postgres URL"), "{problems:?}");
    let text =
        "[store]\nstate = \"redis://portico:hunter2@cache:6379/1\"\ndatabase = \"postgres://p@db/portico\"\n";
    let (_guard, path) = file(text);
    let (config, settings) = Layers::new("data").file(&path).load_with_origins().unwrap();
    let StateStore::Redis(url) = &config.store.state else {
        panic!("{:?}", config.store.state);
    };
    assert_eq!(url.with_password(), "redis://portico:hunter2@cache:6379/1");
    assert_eq!(url.to_string(), "redis://portico:***@cache:6379/1");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn members_find_each_other_at_seeds_or_at_one_name() {
    let beside = "[store]\ndatabase = \"postgres://p@db/portico\"\n[rpc]\nlisten = \"0.0.0.0:7000\"\n";
    let members = |value: &str| {
        let (_guard, path) = file(&format!("{beside}members = {value}\n"));
        Layers::new("data").file(&path).load().unwrap()
    };
    let host = |text: &str| text.parse::<HostPort>().unwrap();
    let seeds = members("[\"im1.example.com:7000\", \"[2001:db8::2]:7001\"]");
    let wanted = vec![host("im1.example.com:7000"), host("[2001:db8::2]:7001")];
    assert_eq!(seeds.rpc.members, Members::Seeds(wanted));
    assert!(seeds.in_pool());
    let name = Members::Dns(host("portico.example.com:7000"));
    assert_eq!(members("\"dns:portico.example.com:7000\"").rpc.members, name);
    assert_eq!(members("[\"dns:portico.example.com:7000\"]").rpc.members, name);
    let none = members("[]");
    assert_eq!(none.rpc.members, Members::None);
    assert!(!none.in_pool());

    let (_guard, path) = file(beside);
    let from_variable = |value: &str| {
        let set = variables(&[("PORTICO_RPC__MEMBERS", value)]);
        let layers = Layers::new("data").file(&path).environment(set);
        layers.load().unwrap().rpc.members
    };
    let two = vec![host("im1:7000"), host("im2:7000")];
    assert_eq!(from_variable("im1:7000, im2:7000"), Members::Seeds(two));
    assert_eq!(from_variable("dns:portico.example.com:7000"), name);
    assert_eq!(from_variable(""), Members::None);
}

#[test]
fn a_list_of_members_that_cannot_be_meant_is_refused_with_the_reason() {
    let beside = "[store]\ndatabase = \"postgres://p@db/portico\"\n[rpc]\nlisten = \"0.0.0.0:7000\"\n";
    let refused = |value: &str| problems_of(&format!("{beside}members = {value}\n")).join("\n");
    for wrong in [
        "\"\"",
        "[\"\"]",
        "7000",
        "[\"im1.example.com\"]",
        "[\"im1.example.com:0\"]",
        "[\"im1.example.com:70000\"]",
        "[\"im1.example.com:rpc\"]",
        "\"dns:\"",
        "\"dns:portico.example.com\"",
        "\"dns::7000\"",
    ] {
        let problem = refused(wrong);
        assert!(problem.starts_with("FILE:5: rpc.members: "), "{wrong}: {problem}");
        assert!(
            problem.contains(" is not a list of members with their ports"),
            "{wrong}: {problem}"
        );
    }
    let both = refused("[\"im1:7000\", \"dns:portico.example.com:7000\"]");
    assert!(both.contains("the name stands for all members"), "{both}");
    let twice = refused("[\"im1:7000\", \"IM1:7000\"]");
    assert!(twice.contains("im1:7000 is there once"), "{twice}");
}

#[test]
fn members_without_redis_need_a_listener_and_share_a_database() {
    let problems = problems_of("[rpc]\nmembers = [\"im1:7000\"]\n");
    assert_eq!(problems.len(), 2, "{problems:?}");
    let told = problems.join("\n");
    assert!(told.contains("set a postgres URL beside rpc.members"), "{told}");
    assert!(told.contains("members reach each other at rpc.listen"), "{told}");
}

#[test]
fn certificates_of_redis_need_tls_and_each_other() {
    let store = |text: &str| format!("[store]\ndatabase = \"postgres://p@db/portico\"\n{text}");
    let problems = problems_of(&store("state = \"redis://cache\"\nstate_ca = \"ca.pem\"\n"));
    assert!(
        problems[0].starts_with("FILE:4: store.state_ca: is of no use without TLS"),
        "{problems:?}"
    );
    let problems = problems_of(&store(
        "state = \"rediss://cache\"\nstate_certificate = \"fe1.pem\"\n",
    ));
    assert!(
        problems[0].starts_with("FILE:4: store.state_certificate: needs store.state_private_key"),
        "{problems:?}"
    );
    let problems = problems_of(&store(
        "state = \"rediss://cache\"\nstate_private_key = \"fe1.key\"\n",
    ));
    assert!(
        problems[0].contains("needs store.state_certificate"),
        "{problems:?}"
    );
    let (_guard, path) = file(&store(
        "state = \"rediss+cluster://a,b\"\nstate_ca = \"ca.pem\"\n",
    ));
    let config = Layers::new("data").file(&path).load().unwrap();
    assert_eq!(config.store.state_tls.ca, Some(PathBuf::from("ca.pem")));
}

#[test]
fn a_collector_is_a_url_and_a_ratio_is_between_nothing_and_all() {
    let telemetry = |text: &str| {
        let (_guard, path) = file(text);
        Layers::new("data").file(&path).load().unwrap().telemetry
    };
    let set = telemetry("[telemetry]\notlp_endpoint = \"http://127.0.0.1:4317\"\nsample_ratio = 0.25\n");
    assert_eq!(set.otlp_endpoint.as_deref(), Some("http://127.0.0.1:4317"));
    assert_eq!(set.sample_ratio, Some(0.25));
    assert_eq!(
        telemetry("[telemetry]\nsample_ratio = 1\n").sample_ratio,
        Some(1.0)
    );
    let unset = telemetry("");
    assert_eq!((unset.otlp_endpoint, unset.sample_ratio), (None, None));
    assert_eq!(
        problems_of("[telemetry]\notlp_endpoint = \"collector:4317\"\nsample_ratio = 1.5\n"),
        [
            "FILE:2: telemetry.otlp_endpoint: \"collector:4317\" is not a URL such as \"http://127.0.0.1:4317\" or \
             \"https://collector.example.com:4317\"",
            "FILE:3: telemetry.sample_ratio: 1.5 is not a number from 0 to 1 such as 0.05",
        ]
    );
}

#[test]
fn keys_of_later_versions_are_told_apart_from_slips() {
    let problems = problems_of("[edge]\nlisten = \"127.0.0.1:5062\"\n[admin]\nlisten = \"127.0.0.1:8443\"\n");
    assert!(
        problems
            .iter()
            .all(|line| line.ends_with("this version does not have it yet")),
        "{problems:?}"
    );
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    assert_eq!(
        problems_of("[tls]\ncertificate = \"a.pem\"\n"),
        ["FILE:2: tls.certificate: needs tls.private_key beside it"]
    );
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_the_line() {
    let problems = problems_of("[pool]\nmember = \"fe1\"\nfqdn = \n");
    assert!(problems[0].starts_with("FILE:3: "), "{problems:?}");
}

#[test]
fn a_file_that_is_not_there_is_refused_by_its_name() {
    let problems = Layers::new("data")
        .file("no/such/file.toml".as_ref())
        .load()
        .unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("--config: cannot read no/such/file.toml: "),
        "{problems}"
    );
}

#[test]
fn a_key_can_be_read_from_a_file_in_a_file_and_in_the_environment() {
    let (_guard, secret) = file("pool.example.test\n");
    let secret = secret.to_str().unwrap();
    let (_other, path) = file(&format!("[pool]\nfqdn_file = \"{secret}\"\n"));
    let config = Layers::new("data").file(&path).load().unwrap();
    assert_eq!(config.pool.fqdn, "pool.example.test");

    let layers = Layers::new("data").environment(variables(&[("PORTICO_POOL__FQDN_FILE", secret)]));
    let (config, settings) = layers.load_with_origins().unwrap();
    assert_eq!(config.pool.fqdn, "pool.example.test");
    let fqdn = settings
        .iter()
        .find(|setting| setting.key == "pool.fqdn")
        .unwrap();
    assert_eq!(fqdn.origin.to_string(), "PORTICO_POOL__FQDN_FILE");
    // A key whose own name ends so is what it was.
    let layers = Layers::new("data").environment(variables(&[("PORTICO_SECRETS__KEY_FILE", secret)]));
    assert_eq!(layers.load().unwrap().secrets.key_file, PathBuf::from(secret));
}

#[test]
fn a_stronger_layer_wins_in_either_form_and_both_in_one_layer_are_refused() {
    let (_guard, secret) = file("from-the-file.test");
    let secret = secret.to_str().unwrap();
    let (_other, path) = file(&format!("[pool]\nfqdn_file = \"{secret}\"\n"));
    let plain = ("PORTICO_POOL__FQDN", "plain.test");
    let layers = Layers::new("data").file(&path).environment(variables(&[plain]));
    assert_eq!(layers.load().unwrap().pool.fqdn, "plain.test");

    let both = variables(&[plain, ("PORTICO_POOL__FQDN_FILE", secret)]);
    let problems = Layers::new("data").environment(both).load().unwrap_err();
    let problems = problems.to_string();
    assert!(
        problems.contains("PORTICO_POOL__FQDN_FILE: pool.fqdn is set as well"),
        "{problems}"
    );
}

#[test]
fn a_file_of_a_key_that_cannot_be_read_is_refused_by_its_name() {
    let problems = problems_of("[pool]\nfqdn_file = \"no/such/file\"\n");
    assert!(
        problems[0].starts_with("FILE:2: pool.fqdn_file: cannot read no/such/file: "),
        "{problems:?}"
    );
    let problems = problems_of("[pool]\nfqdnn_file = \"no/such/file\"\n");
    assert!(problems[0].contains("no such key"), "{problems:?}");
}

#[test]
fn the_sample_file_is_valid_and_shows_every_key_with_its_default() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config/standard-edition.toml");
    Layers::new("data").file(&path).load().unwrap();

    // With its comment signs removed every line must still be a key of ours, and set what is the default anyway.
    let text = std::fs::read_to_string(&path).unwrap();
    let all: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("#")
                .filter(|rest| !rest.starts_with([' ', '#']))
                .unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let (_guard, uncommented) = file(&all);
    let (_, shown) = Layers::new("/var/lib/portico")
        .file(&uncommented)
        .load_with_origins()
        .unwrap();
    let (_, defaults) = Layers::new("/var/lib/portico").load_with_origins().unwrap();
    for (shown, default) in shown.iter().zip(&defaults) {
        assert!(
            matches!(shown.origin, Origin::File(..)),
            "{} is missing in the sample",
            shown.key
        );
        assert_eq!(
            shown.value, default.value,
            "the sample's value of {} is not the default",
            shown.key
        );
    }
}

#[test]
fn a_shown_value_can_be_read_again() {
    let (_, settings) = Layers::new("data").load_with_origins().unwrap();
    for setting in settings {
        let (section, key) = setting.key.split_once('.').unwrap();
        let (_guard, path) = file(&format!("[{section}]\n{key} = {}\n", setting.value));
        assert!(
            Layers::new("data").file(&path).load().is_ok(),
            "{} = {}",
            setting.key,
            setting.value
        );
    }
}

#[test]
fn the_page_about_the_configuration_has_every_key_and_its_default() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (_, settings) = Layers::new("<data-dir>").load_with_origins().unwrap();
    for setting in &settings {
        let row = format!("| `{}` | `{}` | ", setting.key, setting.value);
        assert!(
            page.contains(&row),
            "docs/configuration.md has no row that begins {row}"
        );
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        rows,
        settings.len(),
        "docs/configuration.md has rows of keys that are not there"
    );
}

#[test]
fn a_postgres_url_is_kept_whole_and_shown_without_its_password() {
    let url = "postgres://al:s3c@ret@db.example.test:6432/pool?sslmode=require";
    let (_guard, path) = file(&format!("[store]\ndatabase = \"{url}\"\n"));
    let (config, settings) = Layers::new("data").file(&path).load_with_origins().unwrap();
    let Database::Postgres(kept) = &config.store.database else {
        panic!("{:?}", config.store.database);
    };
    assert_eq!(kept.with_password(), url);
    let shown = settings
        .iter()
        .find(|setting| setting.key == "store.database")
        .unwrap();
    assert_eq!(
        shown.value,
        "\"postgres://al:***@db.example.test:6432/pool?sslmode=require\""
    );
    assert!(!format!("{config:?} {settings:?}").contains("s3c"));
}

#[test]
fn the_url_of_the_database_may_be_in_a_file_of_its_own() {
    let (_secret, secret_path) = file("postgres://al:s3cret@db/pool\n");
    let secret_path = secret_path.display().to_string();
    let pairs = [("PORTICO_STORE__DATABASE_FILE", secret_path.as_str())];
    let layers = Layers::new("data").environment(variables(&pairs));
    let (config, settings) = layers.load_with_origins().unwrap();
    let Database::Postgres(url) = &config.store.database else {
        panic!("{:?}", config.store.database);
    };
    assert_eq!(url.with_password(), "postgres://al:s3cret@db/pool");
    assert!(!format!("{settings:?}").contains("s3cret"));

    let missing = variables(&[("PORTICO_STORE__DATABASE_FILE", "no/such/file")]);
    let missing = Layers::new("data").environment(missing).load().unwrap_err();
    assert!(missing.to_string().contains("no/such/file"), "{missing}");
}

#[test]
fn a_url_that_can_not_be_meant_is_refused_without_its_password() {
    for url in [
        "mysql://al:s3cret@db/pool",
        "postgres://",
        "postgres://al@db/pool?password=s3cret",
    ] {
        let problems = problems_of(&format!("[store]\ndatabase = \"{url}\"\n"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("postgres://user:password@host"),
            "{problems:?}"
        );
        assert!(!problems[0].contains("s3cret"), "{problems:?}");
    }
}
