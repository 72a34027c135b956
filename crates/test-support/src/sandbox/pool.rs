//! A pool as processes: what it needs around it, and how its members are started.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use super::member::{Member, Recipe};
use super::{Options, binary};
use crate::patience::{eventually, within};
use crate::stores::{OwnRedis, PostgresDatabase, PostgresServer, RedisServer};

/// The members every pool starts with. The first is the one a test sees that looks at one only.
const MEMBERS: [(&str, &str); 6] = [
    ("fe1", "front-end"),
    ("fe2", "front-end"),
    ("reg1", "registrar"),
    ("pres1", "presence"),
    ("im1", "immcu"),
    ("im2", "immcu"),
];

/// What the members of a pool share.
pub(super) struct Shared {
    /// Dropped with the pool.
    _database: PostgresDatabase,
    pub(super) own_redis: Option<OwnRedis>,
    env: Vec<(String, String)>,
    /// The seed of a pool without Redis, with the setting of its listener.
    seed: Option<(&'static str, String)>,
    home: PathBuf,
}

/// What members share besides the database.
struct State {
    settings: Vec<(&'static str, String)>,
    own_redis: Option<OwnRedis>,
    seed: Option<(&'static str, String)>,
}

impl State {
    async fn prepare(options: &Options) -> Result<State> {
        if let Some(seed) = options.seed {
            let port = quiet_port()?;
            let members = match seed.by_name {
                true => format!("dns:localhost:{port}"),
                false => format!("127.0.0.1:{port}"),
            };
            return Ok(State {
                settings: vec![
                    ("PORTICO_RPC__MEMBERS", members),
                    ("PORTICO_POOL__FQDN", "pool.example.test".to_owned()),
                ],
                own_redis: None,
                seed: Some((seed.member, format!("127.0.0.1:{port}"))),
            });
        }
        let redis = RedisServer::shared().await?;
        let mut own_redis = None;
        let mut state = redis.url();
        if options.own_redis {
            let own = RedisServer::own().await?;
            state = own.url();
            own_redis = Some(own);
        }
        // Prefix of its keys in Redis too.
        let fqdn = format!("{}.example.test", redis.pool());
        Ok(State {
            settings: vec![("PORTICO_STORE__STATE", state), ("PORTICO_POOL__FQDN", fqdn)],
            own_redis,
            seed: None,
        })
    }
}

/// A port that is free now and stays it while a seed restarts: below those the system gives to connections.
fn quiet_port() -> Result<u16> {
    let mut random = [0; 2];
    for _ in 0..100 {
        getrandom::fill(&mut random)?;
        let port = 20_000 + u16::from_le_bytes(random) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    None.context("no free port between 20,000 and 30,000")
}

impl Shared {
    /// Starts or joins the stores, and makes the database and the key file.
    pub(super) async fn prepare(home: &Path, options: &Options) -> Result<Shared> {
        let database = PostgresServer::shared().await?.database().await?;
        let state = State::prepare(options).await?;
        let key_file = home.join("keys").join("pool.key");
        std::fs::create_dir_all(home.join("keys"))?;
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let keys = format!("portico-keys 1\nkey 1 {}\n", STANDARD.encode(random));
        std::fs::write(&key_file, keys)?;
        // Members warn of keys that everybody may read.
        std::fs::set_permissions(&key_file, Permissions::from_mode(0o600))?;
        let settings = [
            ("PORTICO_STORE__DATABASE", database.url()),
            ("PORTICO_RPC__LISTEN", "127.0.0.1:0".to_owned()),
            // There is no balancer that would have to notice.
            ("PORTICO_DRAIN__GRACE", "0s".to_owned()),
            (
                "PORTICO_SECRETS__KEY_FILE",
                key_file.to_string_lossy().into_owned(),
            ),
        ];
        let settings = settings.into_iter().chain(state.settings);
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        // The test has the last word.
        let env = settings.chain(options.env.clone()).collect();
        let shared = Shared {
            _database: database,
            own_redis: state.own_redis,
            env,
            seed: state.seed,
            home: home.to_owned(),
        };
        shared.migrate().await?;
        Ok(shared)
    }

    async fn migrate(&self) -> Result<()> {
        let mut command = Command::new(binary("portico")?);
        command
            .args(["migrate", "--wait", "10s"])
            .envs(self.env.clone())
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = within("portico migrate", async { Ok(command.output().await?) }).await?;
        ensure!(output.status.success(), "portico migrate has ended: {output:?}");
        Ok(())
    }

    /// Starts all members at once and waits until all are ready.
    pub(super) async fn start(&self) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        for (name, role) in MEMBERS {
            if name == "fe2" {
                // It presents a certificate of the authority that the first one makes.
                self.await_authority().await?;
            }
            members.push(self.spawn(name, role)?);
        }
        for member in &mut members {
            member.until_ready().await?;
        }
        Ok(members)
    }

    /// Starts one member more.
    pub(super) fn spawn(&self, name: &str, role: &'static str) -> Result<Member> {
        let data = self.home.join(name);
        if role == "front-end" && name != MEMBERS[0].0 {
            self.copy_authority(&data)?;
        }
        let mut env = self.env.clone();
        env.push(("PORTICO_POOL__MEMBER".to_owned(), name.to_owned()));
        if let Some((_, listen)) = self.seed.as_ref().filter(|(seed, _)| *seed == name) {
            env.push(("PORTICO_RPC__LISTEN".to_owned(), listen.clone()));
        }
        Member::spawn(Recipe {
            name: name.to_owned(),
            command: "run",
            role: Some(role),
            data,
            home: self.home.clone(),
            env,
        })
    }

    fn authority(&self) -> PathBuf {
        self.home.join(MEMBERS[0].0).join("pki")
    }

    async fn await_authority(&self) -> Result<()> {
        // The key is written before it.
        let ca = self.authority().join("ca.pem");
        eventually("the certificate authority", || async {
            Ok(ca.is_file().then_some(()))
        })
        .await
    }

    fn copy_authority(&self, data: &Path) -> Result<()> {
        std::fs::create_dir_all(data.join("pki"))?;
        for file in ["ca.key", "ca.pem"] {
            std::fs::copy(self.authority().join(file), data.join("pki").join(file))?;
        }
        Ok(())
    }
}
