//! A real registrar behind each of the ways in which it can be reached.

#![expect(dead_code, reason = "each test binary uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use registrar::{
    PolicyKind, PolicyKinds, RegistrarConfig, RegistrarService, Setting, SettingRule, Stores, SystemClock,
};
use rpc::{
    ClientFamily, ConnectionId, Directory, DirectoryClient, EndpointId, ImMode, NewAccount, Register,
    RegistrarClient,
};
use rpc_wire::transport::{Authority, Connector, MemberTls, listen};
use rpc_wire::{
    Describe, Description, Health, RemoteDirectory, RemoteRegistrar, RpcServer, ServeError,
    ServerCountersHandle,
};
use sip_auth::key_file::{KeyFile, Purpose};
use sip_types::AddressOfRecord;
use store::memory::{MemoryBindings, MemoryDirectory};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::{MemberId, Role};

pub(crate) const REALM: &str = "example.test";

pub(crate) fn aor(user: &str) -> AddressOfRecord {
    AddressOfRecord::parse(&format!("{user}@example.test")).unwrap()
}

/// How a role is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The trait itself.
    Direct,
    /// Encoded and decoded, without a socket.
    Codec,
    /// Over loopback.
    Tcp,
    /// Over loopback, with a certificate on both sides.
    Tls,
}

pub(crate) struct Rig {
    pub(crate) service: RegistrarService,
    pub(crate) registrar: RegistrarClient,
    pub(crate) directory: DirectoryClient,
    pub(crate) served: Option<Served>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// A server with a listener.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) health: Health,
    pub(crate) counters: ServerCountersHandle,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), ServeError>>,
}

struct Fe1;

impl Describe for Fe1 {
    fn describe(&self) -> Description {
        description()
    }
}

pub(crate) fn description() -> Description {
    Description {
        member: MemberId::new("fe1"),
        incarnation: 3,
        roles: vec![Role::Registrar, Role::ImMcu],
        version: "0.1.0".into(),
        renewed_ago: Some(Duration::from_millis(250)),
        clients: Some(20_000),
    }
}

pub(crate) fn tls(seeds: &[[u8; 32]], member: &str) -> MemberTls {
    MemberTls::new(Authority::new(seeds).unwrap(), MemberId::new(member)).unwrap()
}

fn kinds() -> PolicyKinds {
    let mut kinds = PolicyKinds::new();
    let html = Setting {
        key: "html",
        rule: SettingRule::Switch { default: true },
        description: "for the test",
    };
    let kind = PolicyKind {
        name: "im",
        description: "for the test",
        settings: vec![html],
        check: None,
    };
    kinds.register(kind).unwrap();
    let presence = PolicyKind {
        name: "presence",
        description: "for the test",
        settings: Vec::new(),
        check: None,
    };
    kinds.register(presence).unwrap();
    kinds
}

pub(crate) async fn registrar_service(tasks: &TaskTracker, stop: &CancellationToken) -> RegistrarService {
    let key = KeyFile::parse(&KeyFile::generate(&[7; 32])).unwrap();
    let config = RegistrarConfig::new(REALM, vec!["example.test".into()]);
    let stores = Stores::new(Arc::new(MemoryDirectory::new()), Arc::new(MemoryBindings::new()));
    let service = RegistrarService::start(
        config,
        key.seal_key(Purpose::Credentials).unwrap(),
        kinds(),
        stores,
        Arc::new(SystemClock),
        tasks,
        stop.clone(),
    )
    .await
    .unwrap();
    for user in ["alice", "bob"] {
        service.create_account(account(user)).await.unwrap();
    }
    service
}

pub(crate) fn account(user: &str) -> NewAccount {
    NewAccount {
        aor: aor(user),
        display_name: format!("{user} of the test"),
        site: String::new(),
        password: format!("{user}-secret"),
        ntlm: false,
    }
}

/// A server of these, with everything a member offers.
pub(crate) async fn server(registrar: RegistrarClient, directory: DirectoryClient) -> RpcServer {
    RpcServer::builder()
        .registrar(registrar)
        .directory(directory)
        .member(Arc::new(Fe1))
        .build()
        .await
}

pub(crate) async fn serve(server: RpcServer, tls: Option<MemberTls>) -> Served {
    let bound = listen("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
    let shutdown = CancellationToken::new();
    Served {
        address: bound.local_address(),
        health: server.health(),
        counters: server.counters(),
        shutdown: shutdown.clone(),
        ended: tokio::spawn(server.serve(bound, shutdown)),
    }
}

impl Served {
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(4), self.ended);
        ended.await.expect("the server ends soon").unwrap().unwrap();
    }
}

impl Rig {
    pub(crate) async fn new(way: Way) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let service = registrar_service(&tasks, &stop).await;
        let local = (
            RegistrarClient::local(Arc::new(service.clone())),
            DirectoryClient::local(Arc::new(service.clone())),
        );
        let ((registrar, directory), served) = match way {
            Way::Direct => (local, None),
            Way::Codec => {
                let carrier = server(local.0, local.1).await.in_process();
                (remote(carrier, &tasks, &stop), None)
            }
            Way::Tcp | Way::Tls => {
                let tls = |member| (way == Way::Tls).then(|| tls(&[[9; 32]], member));
                let served = serve(server(local.0, local.1).await, tls("fe1")).await;
                let connector = Connector::new(tls("fe2"));
                let address = served.address.to_string();
                let channel = connector.channel_to(&MemberId::new("fe1"), &address).unwrap();
                (remote(channel, &tasks, &stop), Some(served))
            }
        };
        Rig {
            service,
            registrar,
            directory,
            served,
            tasks,
            stop,
        }
    }

    /// Stops everything, and fails if something does not.
    pub(crate) async fn end(self) {
        drop((self.registrar, self.directory));
        if let Some(served) = self.served {
            served.end().await;
        }
        self.stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(Duration::from_secs(4), self.tasks.wait());
        ended.await.expect("tasks end soon");
    }
}

fn remote<T: rpc_wire::Carrier>(
    carrier: T,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> (RegistrarClient, DirectoryClient) {
    let member = MemberId::new("fe2");
    let registrar = RemoteRegistrar::new(carrier.clone(), member, tasks.clone(), stop.clone());
    (
        RegistrarClient::local(Arc::new(registrar)),
        DirectoryClient::local(Arc::new(RemoteDirectory::new(carrier))),
    )
}

/// A REGISTER without an expiry, the first of its Call-ID.
pub(crate) fn register(user: &str, endpoint: &str) -> Register {
    Register {
        aor: aor(user),
        endpoint: EndpointId::new(endpoint),
        contact: format!("sip:{user}@192.0.2.1:5061;transport=tls"),
        instance: None,
        epid: None,
        reg_id: None,
        call_id: format!("call-of-{endpoint}"),
        cseq: 1,
        expires: None,
        member: MemberId::new("fe2"),
        connection: ConnectionId(1),
        family: ClientFamily::Simple,
        mode: ImMode::Page,
        user_agent: None,
    }
}
