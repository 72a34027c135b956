//! One `start_<role>` per role: builds it here and returns the client that reaches it.

use std::sync::Arc;

use config::Config;
use front_end::{Advertised, FrontEnd, FrontEndConfig};
use immcu::{Access, IM_POLICY, ImMcuService};
use presence::{PRESENCE_POLICY, PresenceService};
use registrar::{
    PolicyKind, PolicyKinds, PooledRegistrar, RegistrarConfig, RegistrarService, Setting, SettingRule,
    SystemClock,
};
use rpc::{
    DirectoryClient, FrontEndClient, FrontEnds, ImMcuClient, PresenceClient, RegistrarClient, RolePolicy,
    RoleSetting, SettingDefault,
};
use sip_auth::challenge::Offer;
use sip_auth::key_file::{KeyFile, Purpose};
use sip_auth::nonce::NonceKey;
use store::memory::MemoryBindings;
use store::{BindingStore, PartitionedBindings};
use telemetry::{Registry, names};
use topology::{MemberId, Role};

use crate::background::Background;
use crate::control::{api, setting_value};
use crate::database::Database;
use crate::error::StartError;
use crate::member::Member;
use crate::metrics;

/// What every role is started with.
pub(crate) struct Node<'a> {
    pub(crate) config: &'a Config,
    /// This member's name.
    pub(crate) member: MemberId,
    pub(crate) registry: &'a Registry,
    pub(crate) background: &'a Background,
    /// The front ends of the pool: immcu finds them here, and so does not depend on them.
    pub(crate) front_ends: FrontEnds,
}

/// The registrar's two faces.
pub(crate) struct StartedRegistrar {
    pub(crate) client: RegistrarClient,
    pub(crate) directory: DirectoryClient,
    pub(crate) service: RegistrarService,
}

/// The roles to run here: those asked for, or all. Without a pool there is nobody else to run the others.
pub(crate) fn wanted(asked: &[Role], in_pool: bool) -> Result<Vec<Role>, StartError> {
    let wanted: Vec<Role> = Role::ALL
        .into_iter()
        .filter(|role| asked.is_empty() || asked.contains(role))
        .collect();
    let missing = Role::ALL.into_iter().find(|role| !wanted.contains(role));
    match missing {
        Some(role) if !in_pool => Err(StartError::MissingRole(role)),
        _ => Ok(wanted),
    }
}

/// Starts the registrar over the database; `bindings` are those of the users it shares with other members, or none.
pub(crate) async fn start_registrar(
    node: &Node<'_>,
    database: &Database,
    keys: &KeyFile,
    shared: Option<(Arc<PartitionedBindings>, &Member)>,
) -> Result<StartedRegistrar, StartError> {
    let failed = |problem: String| StartError::Role {
        role: Role::Registrar,
        problem,
    };
    let mut kinds = PolicyKinds::new();
    for kind in role_policies() {
        kinds.register(kind).map_err(|error| failed(error.to_string()))?;
    }
    let config = RegistrarConfig {
        ntlm: node.config.auth.ntlm,
        digest_md5: node.config.auth.digest_md5,
        ..RegistrarConfig::new(realm(node.config), node.config.pool.domains.clone())
    };
    let service = RegistrarService::start(
        config,
        keys.seal_key(Purpose::Credentials)
            .map_err(|error| failed(error.to_string()))?,
        kinds,
        database.stores(match &shared {
            Some((bindings, _)) => bindings.clone() as Arc<dyn BindingStore>,
            None => Arc::new(MemoryBindings::default()),
        }),
        Arc::new(SystemClock),
        &node.background.tasks,
        node.background.stop.clone(),
    )
    .await
    .map_err(|error| failed(error.message))?;
    let counted = service.clone();
    node.registry
        .register(Box::new(move |page| counted.collect(page)));
    let client = match shared {
        None => RegistrarClient::local(Arc::new(service.clone())),
        Some((bindings, member)) => {
            let dirty = bindings.clone();
            node.registry.register(Box::new(move |page| {
                page.gauge(&names::BINDINGS_DIRTY, &[], dirty.dirty() as f64);
            }));
            let pooled = PooledRegistrar::new(service.clone(), bindings, member.fence());
            member.fill_registrar(node, &pooled);
            RegistrarClient::local(Arc::new(pooled))
        }
    };
    Ok(StartedRegistrar {
        client,
        directory: DirectoryClient::local(Arc::new(service.clone())),
        service,
    })
}

/// The kinds of policies there are, as `porticoctl policy kinds` shows them.
pub(crate) fn policy_kinds() -> Arc<[api::PolicyKind]> {
    [registrar::registration_kind()]
        .iter()
        .chain(&role_policies())
        .map(described)
        .collect()
}

/// Starts the owner of conversations. Nothing is archived or filtered in this version.
pub(crate) fn start_immcu(
    node: &Node<'_>,
    registrar: &RegistrarClient,
    presence: &PresenceClient,
    member: Option<&Member>,
) -> ImMcuService {
    let (registrar, front_ends) = (registrar.clone(), node.front_ends.clone());
    let follower = MemberId::new(&format!("{}/access", node.member));
    let access = Access::new(presence.clone(), follower, node.config.pool.domains.clone());
    let (following, stop) = (access.clone(), node.background.stop.clone());
    node.background.tasks.spawn(async move {
        stop.run_until_cancelled(following.follow()).await;
    });
    let hooks = immcu::Hooks {
        access: Some(access),
        ..immcu::Hooks::default()
    };
    let limits = immcu::Limits::default();
    let service = match member {
        None => ImMcuService::start(registrar, front_ends, hooks, limits),
        Some(member) => {
            let fence = member.fence();
            let service = ImMcuService::start_in_pool(registrar, front_ends, hooks, limits, fence);
            member.fill_immcu(&service);
            service
        }
    };
    let counted = service.clone();
    node.registry.register(Box::new(move |page| {
        metrics::collect_immcu(page, &counted.snapshot())
    }));
    service
}

/// Starts the owner of presence over the database.
pub(crate) fn start_presence(
    node: &Node<'_>,
    registrar: &RegistrarClient,
    database: &Database,
    member: Option<&Member>,
) -> PresenceService {
    let (registrar, store) = (registrar.clone(), database.presence());
    let (clock, limits) = (Arc::new(presence::SystemClock), presence::Limits::default());
    let service = match member {
        None => PresenceService::start(registrar, store, clock, limits),
        Some(member) => {
            let (copy, fence) = (member.presence_copy(node.config), member.fence());
            let service = PresenceService::start_in_pool(registrar, store, clock, limits, copy, fence);
            member.fill_presence(node, &service);
            service
        }
    };
    let counted = service.clone();
    node.registry.register(Box::new(move |page| {
        metrics::collect_presence(page, &counted.snapshot());
    }));
    service
}

/// Starts the front end and makes it known to the owner of conversations.
pub(crate) fn start_front_end(
    node: &Node<'_>,
    registrar: &RegistrarClient,
    immcu: &ImMcuClient,
    presence: &PresenceClient,
    nonces: NonceKey,
    seed: [u8; 16],
    first_connection: u64,
) -> FrontEnd {
    let offer = Offer {
        ntlm: node.config.auth.ntlm,
        md5: node.config.auth.digest_md5,
        sha256: true,
    };
    let pool = &node.config.pool;
    let sip = &node.config.sip;
    let limits = &node.config.limits;
    let rate = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let config = FrontEndConfig {
        first_connection,
        advertise: sip.advertise.as_ref().map(|advertised| Advertised {
            host: advertised.host.to_string(),
            port: advertised.port,
        }),
        aliases: sip.aliases.iter().map(ToString::to_string).collect(),
        sign_ins_per_second: rate(limits.sign_ins_per_second),
        pending_transactions: usize::try_from(limits.pending_transactions).unwrap_or(usize::MAX),
        requests_per_second: rate(limits.requests_per_second),
        unauthenticated_per_second: rate(limits.unauthenticated_requests_per_second),
        ..FrontEndConfig::new(node.member.clone(), &pool.fqdn, pool.domains.clone(), offer)
    };
    let front_end = FrontEnd::new(
        config,
        registrar.clone(),
        immcu.clone(),
        presence.clone(),
        nonces,
        seed,
    );
    node.front_ends.insert(
        node.member.clone(),
        FrontEndClient::local(Arc::new(front_end.clone())),
    );
    let counted = front_end.clone();
    node.registry
        .register(Box::new(move |page| counted.collect(page)));
    let (following, stop) = (front_end.clone(), node.background.stop.clone());
    node.background.tasks.spawn(async move {
        stop.run_until_cancelled(following.follow_presence()).await;
    });
    let (following, stop) = (front_end.clone(), node.background.stop.clone());
    node.background.tasks.spawn(async move {
        stop.run_until_cancelled(following.follow_bindings()).await;
    });
    front_end
}

/// Random numbers for the names a front end makes.
pub(crate) fn seed() -> Result<[u8; 16], StartError> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| StartError::Role {
        role: Role::FrontEnd,
        problem: format!("the system gave no random numbers: {error}"),
    })?;
    Ok(seed)
}

/// The realm of challenges: the first domain, which configuration guarantees.
fn realm(config: &Config) -> String {
    config.pool.domains.first().unwrap_or(&config.pool.fqdn).clone()
}

/// The policy kinds of the roles, in the words of the policy engine.
fn role_policies() -> [PolicyKind; 2] {
    [&IM_POLICY, &PRESENCE_POLICY].map(policy_kind)
}

fn policy_kind(policy: &RolePolicy) -> PolicyKind {
    let setting = |setting: &RoleSetting| Setting {
        key: setting.name,
        rule: match setting.default {
            SettingDefault::Bool(default) => SettingRule::Switch { default },
            SettingDefault::Number { default, min, max } => SettingRule::Number { default, min, max },
        },
        description: setting.summary,
    };
    PolicyKind {
        name: policy.name,
        description: policy.summary,
        settings: policy.settings.iter().map(setting).collect(),
        check: None,
    }
}

/// A kind of policy as `porticoctl policy kinds` shows it.
fn described(kind: &PolicyKind) -> api::PolicyKind {
    let setting = |setting: &Setting| api::PolicySetting {
        key: setting.key.to_owned(),
        description: format!("{} ({})", setting.description, setting.rule.allowed()),
        default: setting_value(&setting.rule.default_value()),
    };
    api::PolicyKind {
        kind: kind.name.to_owned(),
        description: kind.description.to_owned(),
        settings: kind.settings.iter().map(setting).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_is_left_out_is_named() {
        assert_eq!(wanted(&[], false).unwrap(), Role::ALL);
        assert_eq!(wanted(&Role::ALL, false).unwrap(), Role::ALL);
        let some = [Role::FrontEnd, Role::Registrar, Role::Presence];
        let in_order = [Role::Registrar, Role::Presence, Role::FrontEnd];
        assert_eq!(wanted(&some, true).unwrap(), in_order);
        let error = wanted(&some, false).unwrap_err();
        assert!(error.to_string().contains("immcu cannot be left out"), "{error}");
    }

    #[test]
    fn the_policies_of_the_roles_are_ones_the_engine_takes() {
        let mut kinds = PolicyKinds::new();
        let mut shown = Vec::new();
        for kind in role_policies() {
            shown.extend(described(&kind).settings.into_iter().map(|setting| setting.key));
            assert!(kinds.register(kind).is_ok());
        }
        for key in ["max_text_bytes", "max_contacts"] {
            assert!(shown.iter().any(|known| known == key), "{key}");
        }
    }
}
