//! Offers: to join the organization, and to let it have all features.
//!
//! AWS: "Managing account invitations with AWS Organizations".

use std::time::Duration;

use base::AccountId;
use kernel::Ctx;
use organizations_api as api;
use organizations_api::{
    AcceptHandshakeInput, AcceptHandshakeOutput, ActionType, CancelHandshakeInput,
    CancelHandshakeOutput, DeclineHandshakeInput, DeclineHandshakeOutput, DescribeHandshakeInput,
    DescribeHandshakeOutput, HandshakeFilter, HandshakeParty, HandshakePartyType,
    HandshakeResource, HandshakeResourceType, HandshakeState, InviteAccountToOrganizationInput,
    InviteAccountToOrganizationOutput, ListHandshakesForAccountInput,
    ListHandshakesForAccountOutput, ListHandshakesForOrganizationInput,
    ListHandshakesForOrganizationOutput,
};
use store::{ReadTx, WriteTx};

use crate::access::{managed, visible};
use crate::error::{Error, Result};
use crate::organization::{email_of, finish_all_features};
use crate::store::{
    HANDSHAKES, HANDSHAKES_OF, Handshake, MEMBERS, MEMBERS_OF, Member, ORGANIZATIONS, Organization,
    State,
};
use crate::{ids, listing, tag};

/// How long an invitation holds. AWS: as above.
const INVITATION_HELD: Duration = Duration::from_secs(15 * 86_400);
/// How long all accounts have to agree. AWS: EnableAllFeatures.
const AGREEMENT_HELD: Duration = Duration::from_secs(90 * 86_400);
const INVITE: &str = "INVITE";
const ALL_FEATURES: &str = "ENABLE_ALL_FEATURES";

impl Handshake {
    fn state_at(&self, now: base::Timestamp) -> HandshakeState {
        match self.state {
            State::Open if self.expires <= now => HandshakeState::Expired,
            State::Open => HandshakeState::Open,
            State::Accepted => HandshakeState::Accepted,
            State::Declined => HandshakeState::Declined,
            State::Canceled => HandshakeState::Canceled,
        }
    }

    fn action(&self) -> ActionType {
        if self.action == INVITE { ActionType::Invite } else { ActionType::EnableAllFeatures }
    }

    pub(crate) fn view(&self, organization: &Organization, action: ActionType) -> api::Handshake {
        let party =
            |id: &str, type_| HandshakeParty { id: id.trim_start_matches("o-").to_owned(), type_ };
        let mut parties = vec![party(&organization.id, HandshakePartyType::Organization)];
        match (&self.account, &self.email) {
            (Some(account), _) => {
                parties.push(party(account.as_str(), HandshakePartyType::Account))
            }
            (None, Some(email)) => parties.push(party(email, HandshakePartyType::Email)),
            (None, None) => {}
        }
        let resource = |value: &str, type_| HandshakeResource {
            value: Some(value.to_owned()),
            type_: Some(type_),
            resources: Vec::new(),
        };
        let mut resources = vec![resource(&organization.id, HandshakeResourceType::Organization)];
        if let Some(account) = &self.account {
            resources.push(resource(account.as_str(), HandshakeResourceType::Account));
        }
        if let Some(notes) = &self.notes {
            resources.push(resource(notes, HandshakeResourceType::Notes));
        }
        let kind = self.action.to_lowercase();
        api::Handshake {
            id: Some(self.id.clone()),
            arn: Some(organization.arn_of("handshake", &format!("{kind}/{}", self.id))),
            parties,
            state: Some(match self.state {
                State::Open => HandshakeState::Open,
                State::Accepted => HandshakeState::Accepted,
                State::Declined => HandshakeState::Declined,
                State::Canceled => HandshakeState::Canceled,
            }),
            requested_timestamp: Some(self.requested),
            expiration_timestamp: Some(self.expires),
            action: Some(action),
            resources,
        }
    }

    fn shown(&self, organization: &Organization, now: base::Timestamp) -> api::Handshake {
        api::Handshake { state: Some(self.state_at(now)), ..self.view(organization, self.action()) }
    }
}

/// The question whether the organization may have all features.
pub(crate) fn all_features(ctx: &Ctx, organization: &Organization, id: &str) -> Handshake {
    Handshake {
        id: id.to_owned(),
        organization: organization.id.clone(),
        management: ctx.account.clone(),
        action: ALL_FEATURES.to_owned(),
        account: None,
        email: None,
        notes: None,
        state: State::Open,
        requested: ctx.now(),
        expires: ctx.now() + AGREEMENT_HELD,
        tags: base::Tags::new(),
        agreed: std::collections::BTreeSet::new(),
    }
}

/// Asks an account to join.
///
/// AWS: InviteAccountToOrganization.
///
/// # Errors
///
/// [`Error::DuplicateHandshake`], [`Error::HandshakeConstraint`], [`Error::InvalidInput`].
pub(crate) async fn invite_account_to_organization(
    ctx: Ctx,
    input: InviteAccountToOrganizationInput,
) -> Result<InviteAccountToOrganizationOutput> {
    let tags = tag::checked(&input.tags)?;
    if input.target.type_ != HandshakePartyType::Account {
        return Err(Error::input(
            "INVALID_PARTY_TYPE_TARGET",
            "This region invites accounts by their ids only.",
        ));
    }
    let account: AccountId = input.target.id.parse().map_err(|_| {
        Error::input("INVALID_PARTY_TYPE_TARGET", "The id of an account has twelve digits.")
    })?;
    let view = ctx
        .store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let taken = tx.get(&MEMBERS, account.as_str())?;
            if taken.is_some_and(|member| member.organization == organization.id) {
                return Err(Error::HandshakeConstraint(
                    "ALREADY_IN_AN_ORGANIZATION: The account is already a member.".to_owned(),
                ));
            }
            let open = tx.find(&HANDSHAKES_OF, organization.id.as_str())?;
            let same = |other: &Handshake| {
                other.action == INVITE
                    && other.account.as_ref() == Some(&account)
                    && other.state_at(ctx.now()) == HandshakeState::Open
            };
            if open.iter().any(same) {
                return Err(Error::DuplicateHandshake);
            }
            let handshake = Handshake {
                id: ids::handshake(ctx.random()),
                organization: organization.id.clone(),
                management: ctx.account.clone(),
                action: INVITE.to_owned(),
                account: Some(account.clone()),
                email: None,
                notes: input.notes.clone(),
                state: State::Open,
                requested: ctx.now(),
                expires: ctx.now() + INVITATION_HELD,
                tags: tags.clone(),
                agreed: std::collections::BTreeSet::new(),
            };
            tx.put(&HANDSHAKES, &handshake)?;
            Ok(handshake.view(&organization, ActionType::Invite))
        })
        .await?;
    Ok(InviteAccountToOrganizationOutput { handshake: Some(view) })
}

/// A handshake, with its organization, that concerns the caller.
fn concerning(tx: &ReadTx<'_>, ctx: &Ctx, id: &str) -> Result<(Handshake, Organization)> {
    let handshake = tx.get(&HANDSHAKES, id)?.ok_or(Error::HandshakeNotFound)?;
    let organization = tx.get(&ORGANIZATIONS, &handshake.organization)?;
    let organization = organization.ok_or(Error::HandshakeNotFound)?;
    let member = tx.get(&MEMBERS, ctx.account.as_str())?;
    let of_organization = member.is_some_and(|member| member.organization == organization.id);
    let invited = handshake.account.as_ref() == Some(&ctx.account);
    let concerned = invited
        || handshake.management == ctx.account
        || (handshake.action == ALL_FEATURES && of_organization);
    if concerned { Ok((handshake, organization)) } else { Err(Error::HandshakeNotFound) }
}

fn close(
    tx: &mut WriteTx<'_>,
    ctx: &Ctx,
    mut handshake: Handshake,
    state: State,
) -> Result<Handshake> {
    if handshake.state_at(ctx.now()) != HandshakeState::Open {
        return Err(Error::HandshakeTransition);
    }
    handshake.state = state;
    tx.put(&HANDSHAKES, &handshake)?;
    Ok(handshake)
}

/// Accepts: the calling account joins, or agrees to all features.
///
/// AWS: AcceptHandshake.
///
/// # Errors
///
/// [`Error::HandshakeNotFound`], [`Error::HandshakeTransition`], [`Error::HandshakeConstraint`].
pub(crate) async fn accept_handshake(
    ctx: Ctx,
    input: AcceptHandshakeInput,
) -> Result<AcceptHandshakeOutput> {
    let view = ctx
        .store
        .write(|tx| {
            let (handshake, organization) = concerning(tx, &ctx, &input.handshake_id)?;
            let invited = handshake.account.as_ref() == Some(&ctx.account);
            let manages = handshake.management == ctx.account;
            if handshake.action == ALL_FEATURES && !manages {
                return agree(tx, &ctx, handshake, &organization);
            }
            if !invited && handshake.action != ALL_FEATURES {
                return Err(Error::AccessDenied);
            }
            if handshake.action == ALL_FEATURES {
                require_agreement(tx, &handshake, &organization)?;
            }
            let handshake = close(tx, &ctx, handshake, State::Accepted)?;
            if handshake.action == ALL_FEATURES {
                finish_all_features(tx, &organization)?;
            } else {
                if tx.contains(&MEMBERS, ctx.account.as_str())? {
                    return Err(Error::HandshakeConstraint(
                        "ALREADY_IN_AN_ORGANIZATION: The account is already a member of an \
                         organization."
                            .to_owned(),
                    ));
                }
                let email = email_of(&ctx.account);
                let name = format!("account-{}", ctx.account);
                let account = ctx.account.clone();
                let mut member = Member::fresh(&organization, account, name, email, ctx.now());
                member.tags.clone_from(&handshake.tags);
                tx.put(&MEMBERS, &member)?;
            }
            Ok(handshake.view(&organization, handshake.action()))
        })
        .await?;
    Ok(AcceptHandshakeOutput { handshake: Some(view) })
}

/// Notes that a member agrees to all features; the management account then finishes.
fn agree(
    tx: &mut WriteTx<'_>,
    ctx: &Ctx,
    mut handshake: Handshake,
    organization: &Organization,
) -> Result<api::Handshake> {
    if handshake.state_at(ctx.now()) != HandshakeState::Open {
        return Err(Error::HandshakeTransition);
    }
    handshake.agreed.insert(ctx.account.to_string());
    tx.put(&HANDSHAKES, &handshake)?;
    Ok(handshake.view(organization, handshake.action()))
}

/// Refuses until every invited member agreed.
fn require_agreement(
    tx: &ReadTx<'_>,
    handshake: &Handshake,
    organization: &Organization,
) -> Result<()> {
    let members = tx.find(&MEMBERS_OF, organization.id.as_str())?;
    let silent = members.iter().any(|member| {
        !member.created
            && member.account != organization.management
            && !handshake.agreed.contains(member.account.as_str())
    });
    if silent {
        return Err(Error::HandshakeConstraint(
            "INVITED_ACCOUNTS_MUST_AGREE: not every invited account agreed to all features."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Declines an invitation.
///
/// AWS: DeclineHandshake.
///
/// # Errors
///
/// [`Error::HandshakeNotFound`], [`Error::HandshakeTransition`].
pub(crate) async fn decline_handshake(
    ctx: Ctx,
    input: DeclineHandshakeInput,
) -> Result<DeclineHandshakeOutput> {
    let view = ctx
        .store
        .write(|tx| {
            let (handshake, organization) = concerning(tx, &ctx, &input.handshake_id)?;
            if handshake.management == ctx.account {
                return Err(Error::AccessDenied);
            }
            let handshake = close(tx, &ctx, handshake, State::Declined)?;
            Ok(handshake.view(&organization, handshake.action()))
        })
        .await?;
    Ok(DeclineHandshakeOutput { handshake: Some(view) })
}

/// Takes an offer back.
///
/// AWS: CancelHandshake.
///
/// # Errors
///
/// [`Error::HandshakeNotFound`], [`Error::HandshakeTransition`].
pub(crate) async fn cancel_handshake(
    ctx: Ctx,
    input: CancelHandshakeInput,
) -> Result<CancelHandshakeOutput> {
    let view = ctx
        .store
        .write(|tx| {
            let (handshake, organization) = concerning(tx, &ctx, &input.handshake_id)?;
            if handshake.management != ctx.account {
                return Err(Error::AccessDenied);
            }
            let handshake = close(tx, &ctx, handshake, State::Canceled)?;
            Ok(handshake.view(&organization, handshake.action()))
        })
        .await?;
    Ok(CancelHandshakeOutput { handshake: Some(view) })
}

/// A handshake.
///
/// AWS: DescribeHandshake.
///
/// # Errors
///
/// [`Error::HandshakeNotFound`].
pub(crate) async fn describe_handshake(
    ctx: Ctx,
    input: DescribeHandshakeInput,
) -> Result<DescribeHandshakeOutput> {
    let (handshake, organization) =
        ctx.store.read(|tx| concerning(tx, &ctx, &input.handshake_id)).await?;
    Ok(DescribeHandshakeOutput { handshake: Some(handshake.shown(&organization, ctx.now())) })
}

fn selected(shown: &api::Handshake, filter: Option<&HandshakeFilter>) -> bool {
    let wanted = filter.and_then(|filter| filter.action_type);
    wanted.is_none_or(|wanted| shown.action == Some(wanted))
}

fn id_of(shown: &api::Handshake) -> String {
    shown.id.clone().unwrap_or_default()
}

/// The offers to the calling account.
///
/// AWS: ListHandshakesForAccount.
pub(crate) async fn list_handshakes_for_account(
    ctx: Ctx,
    input: ListHandshakesForAccountInput,
) -> Result<ListHandshakesForAccountOutput> {
    let all = ctx
        .store
        .read(|tx| {
            let mut found = Vec::new();
            for handshake in tx.scan(&HANDSHAKES, ())? {
                let mine = handshake.account.as_ref() == Some(&ctx.account);
                if let (true, Some(organization)) =
                    (mine, tx.get(&ORGANIZATIONS, &handshake.organization)?)
                {
                    found.push(handshake.shown(&organization, ctx.now()));
                }
            }
            Ok::<_, Error>(found)
        })
        .await?;
    let all = all.into_iter().filter(|shown| selected(shown, input.filter.as_ref())).collect();
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, id_of)?;
    Ok(ListHandshakesForAccountOutput { handshakes: page.items, next_token: page.next })
}

/// The offers of the calling account's organization.
///
/// AWS: ListHandshakesForOrganization.
pub(crate) async fn list_handshakes_for_organization(
    ctx: Ctx,
    input: ListHandshakesForOrganizationInput,
) -> Result<ListHandshakesForOrganizationOutput> {
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let all = tx.find(&HANDSHAKES_OF, organization.id.as_str())?;
            Ok::<_, Error>(
                all.iter().map(|h| h.shown(&organization, ctx.now())).collect::<Vec<_>>(),
            )
        })
        .await?;
    let all = all.into_iter().filter(|shown| selected(shown, input.filter.as_ref())).collect();
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, id_of)?;
    Ok(ListHandshakesForOrganizationOutput { handshakes: page.items, next_token: page.next })
}
