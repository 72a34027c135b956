//! Who may see how much.

use std::sync::Arc;

use rpc::presence::{AccessRules, Container, ContainerMember, MemberChange, MemberChanges, PublishRefusal};
use sip_types::AddressOfRecord;

use super::super::{Malformed, aor, named, required};
use super::{refused, refused_to_wire, small};
use crate::proto::presence::v1 as wire;

fn member_to_wire(member: &ContainerMember) -> wire::ContainerMember {
    use wire::container_member::Kind;
    let (kind, value) = match member {
        ContainerMember::User(user) => (Kind::User, user.as_str().to_owned()),
        ContainerMember::Domain(domain) => (Kind::Domain, domain.to_string()),
        ContainerMember::SameEnterprise => (Kind::SameEnterprise, String::new()),
        ContainerMember::Federated => (Kind::Federated, String::new()),
        ContainerMember::PublicCloud => (Kind::PublicCloud, String::new()),
        ContainerMember::Everyone => (Kind::Everyone, String::new()),
    };
    wire::ContainerMember {
        kind: kind.into(),
        value,
    }
}

fn member(member: wire::ContainerMember) -> Result<ContainerMember, Malformed> {
    use wire::container_member::Kind;
    Ok(match member.kind() {
        Kind::User => ContainerMember::User(aor("member.value", &member.value)?),
        Kind::Domain => {
            named("member.value", &member.value)?;
            ContainerMember::Domain(member.value.into())
        }
        Kind::SameEnterprise => ContainerMember::SameEnterprise,
        Kind::Federated => ContainerMember::Federated,
        Kind::PublicCloud => ContainerMember::PublicCloud,
        Kind::Everyone => ContainerMember::Everyone,
        Kind::Unspecified => return Err(Malformed::new("member.kind")),
    })
}

/// Access rules.
pub fn rules_to_wire(rules: &AccessRules) -> wire::AccessRules {
    wire::AccessRules {
        presentity: rules.presentity.as_str().to_owned(),
        containers: rules
            .containers
            .iter()
            .map(|container| wire::Container {
                id: container.id.into(),
                version: container.version,
                members: container.members.iter().map(member_to_wire).collect(),
            })
            .collect(),
        contacts_only: rules.contacts_only,
    }
}

/// Access rules.
///
/// # Errors
/// The field that is wrong.
pub fn rules(rules: wire::AccessRules) -> Result<AccessRules, Malformed> {
    let container = |container: wire::Container| {
        Ok(Container {
            id: small("container.id", container.id)?,
            version: container.version,
            members: container
                .members
                .into_iter()
                .map(member)
                .collect::<Result<_, _>>()?,
        })
    };
    Ok(AccessRules {
        presentity: aor("rules.presentity", &rules.presentity)?,
        containers: rules
            .containers
            .into_iter()
            .map(container)
            .collect::<Result<_, Malformed>>()?,
        contacts_only: rules.contacts_only,
    })
}

/// Changes of containers.
pub fn change_members_to_wire(user: &AddressOfRecord, changes: &MemberChanges) -> wire::ChangeMembersRequest {
    let change = |change: &MemberChange| {
        let (add, member) = match change {
            MemberChange::Add(member) => (true, member),
            MemberChange::Remove(member) => (false, member),
        };
        wire::MemberChange {
            add,
            member: Some(member_to_wire(member)),
        }
    };
    wire::ChangeMembersRequest {
        user: user.as_str().to_owned(),
        containers: changes
            .containers
            .iter()
            .map(|(id, known, changes)| wire::ContainerChanges {
                id: (*id).into(),
                known: *known,
                changes: changes.iter().map(change).collect(),
            })
            .collect(),
    }
}

/// Changes of containers, and whose.
///
/// # Errors
/// The field that is wrong.
pub fn change_members(
    request: wire::ChangeMembersRequest,
) -> Result<(AddressOfRecord, MemberChanges), Malformed> {
    let change = |change: wire::MemberChange| {
        let member = member(required("change.member", change.member)?)?;
        Ok(match change.add {
            true => MemberChange::Add(member),
            false => MemberChange::Remove(member),
        })
    };
    let container = |container: wire::ContainerChanges| {
        let changes = container.changes.into_iter().map(change);
        Ok((
            small("container.id", container.id)?,
            container.known,
            changes.collect::<Result<_, Malformed>>()?,
        ))
    };
    let containers = request.containers.into_iter().map(container);
    Ok((
        aor("change_members.user", &request.user)?,
        MemberChanges {
            containers: containers.collect::<Result<_, Malformed>>()?,
        },
    ))
}

/// What became of changes of containers.
pub fn members_changed_to_wire(
    result: &Result<Arc<AccessRules>, PublishRefusal>,
) -> wire::ChangeMembersResponse {
    use wire::change_members_response::Result as Outcome;
    let result = match result {
        Ok(rules) => Outcome::Rules(rules_to_wire(rules)),
        Err(refusal) => Outcome::Refused(refused_to_wire(refusal)),
    };
    wire::ChangeMembersResponse { result: Some(result) }
}

/// What became of changes of containers.
///
/// # Errors
/// The field that is wrong.
pub fn members_changed(
    response: wire::ChangeMembersResponse,
) -> Result<Result<Arc<AccessRules>, PublishRefusal>, Malformed> {
    use wire::change_members_response::Result as Outcome;
    Ok(match required("change_members.result", response.result)? {
        Outcome::Rules(now) => Ok(Arc::new(rules(now)?)),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    })
}
