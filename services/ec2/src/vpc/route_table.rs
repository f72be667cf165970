//! Route tables and who uses them. Routes themselves are in [`super::route`].

use base::ResourceId;
use ec2_api::{
    AssociateRouteTableInput, AssociateRouteTableOutput, CreateRouteTableInput,
    CreateRouteTableOutput, DeleteRouteTableInput, DeleteRouteTableOutput,
    DescribeRouteTablesInput, DescribeRouteTablesOutput, DisassociateRouteTableInput,
    DisassociateRouteTableOutput, ReplaceRouteTableAssociationInput,
    ReplaceRouteTableAssociationOutput, RouteTableAssociation, RouteTableAssociationState,
    RouteTableAssociationStateCode,
};
use kernel::quota::Quota;
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::store::{
    ROUTE_TABLES, ROUTE_TABLES_BY_VPC, RouteAssociation, RouteTable, SUBNETS, SUBNETS_BY_VPC,
    Subnet, VPCS, Vpc,
};
use super::{default_vpc, route, subnet, vpc};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// Route tables per VPC.
///
/// AWS: "Amazon VPC quotas".
const TABLES_MAX: Quota = Quota { service: "vpc", code: "L-589F43AA", default: 200 };

/// The route table called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<RouteTable> {
    let parsed = ResourceId::parse("rtb", id);
    let found = parsed.map(|id| tx.get(&ROUTE_TABLES, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::RouteTableNotFound(id.to_owned()))
}

/// The VPC of a route table.
pub(crate) fn vpc_of(tx: &ReadTx<'_>, table: &RouteTable) -> Result<Vpc> {
    tx.get(&VPCS, &table.vpc)?.ok_or_else(|| Error::VpcNotFound(table.vpc.to_string()))
}

/// Makes a route table with the local route alone.
///
/// AWS: CreateRouteTable.
pub(crate) async fn create_route_table(
    ctx: Ctx,
    input: CreateRouteTableInput,
) -> Result<CreateRouteTableOutput> {
    const KIND: &str = "route-table";
    const OPERATION: &str = "CreateRouteTable";
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let limit = TABLES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let fingerprint = token::fingerprint(&(&input.vpc_id, &wanted));
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, OPERATION, client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(id) => return described(tx, &ctx, &get(tx, &id)?),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        let vpc = vpc::get(tx, &input.vpc_id)?;
        if tx.find(&ROUTE_TABLES_BY_VPC, &vpc.id)?.len() as u64 >= limit {
            return Err(Error::RouteTableLimitExceeded);
        }
        let maker = Maker::of(&ctx);
        let table = RouteTable { id: maker.id("rtb"), vpc: vpc.id, routes: Vec::new() };
        tx.put(&ROUTE_TABLES, &table)?;
        tags::begin(tx, &table.id, KIND, &wanted)?;
        if let Some(client_token) = &input.client_token {
            let id = table.id.as_str();
            token::remember(tx, OPERATION, client_token, &fingerprint, id, maker.now)?;
        }
        described(tx, &ctx, &table)
    };
    let route_table = Some(ctx.store.write(write).await?);
    Ok(CreateRouteTableOutput { route_table, client_token: input.client_token })
}

/// Removes a route table that no subnet uses.
///
/// AWS: DeleteRouteTable.
pub(crate) async fn delete_route_table(
    ctx: Ctx,
    input: DeleteRouteTableInput,
) -> Result<DeleteRouteTableOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let table = get(tx, &input.route_table_id)?;
        let main = vpc_of(tx, &table)?.main_route_table == table.id;
        let uses = |subnet: &Subnet| {
            subnet.route_table.as_ref().is_some_and(|own| own.route_table == table.id)
        };
        if main || tx.find(&SUBNETS_BY_VPC, &table.vpc)?.iter().any(uses) {
            return Err(Error::DependencyViolation(format!(
                "The routeTable '{}' has dependencies and cannot be deleted.",
                table.id
            )));
        }
        tx.delete(&ROUTE_TABLES, &table.id)?;
        tags::end(tx, &table.id)
    };
    ctx.store.write(write).await?;
    Ok(DeleteRouteTableOutput {})
}

/// Gives a subnet a route table.
///
/// AWS: AssociateRouteTable.
pub(crate) async fn associate_route_table(
    ctx: Ctx,
    input: AssociateRouteTableInput,
) -> Result<AssociateRouteTableOutput> {
    refuse(&[
        ("GatewayId", input.gateway_id.is_some()),
        ("PublicIpv4Pool", input.public_ipv4_pool.is_some()),
    ])?;
    let subnet_id = input.subnet_id.as_deref().ok_or_else(|| Error::missing("subnetId"))?;
    let id = ctx.id("rtbassoc");
    let write = |tx: &mut WriteTx<'_>| {
        let table = get(tx, &input.route_table_id)?;
        let mut subnet = subnet::get(tx, subnet_id)?;
        require_same_vpc(&table, &subnet)?;
        match &subnet.route_table {
            Some(own) if own.route_table == table.id => return Ok(own.id.clone()),
            Some(_) => {
                return Err(Error::AlreadyAssociated(format!(
                    "the specified association for route table {} conflicts with an existing \
                     association",
                    table.id
                )));
            }
            None => {}
        }
        subnet.route_table = Some(RouteAssociation { id: id.clone(), route_table: table.id });
        tx.put(&SUBNETS, &subnet)?;
        Ok(id.clone())
    };
    let association = ctx.store.write(write).await?;
    Ok(AssociateRouteTableOutput {
        association_id: Some(association.to_string()),
        association_state: Some(associated()),
    })
}

fn require_same_vpc(table: &RouteTable, subnet: &Subnet) -> Result<()> {
    if table.vpc == subnet.vpc {
        return Ok(());
    }
    Err(Error::value(format!(
        "route table {} and subnet {} belong to different networks",
        table.id, subnet.id
    )))
}

fn associated() -> RouteTableAssociationState {
    let state = Some(RouteTableAssociationStateCode::Associated);
    RouteTableAssociationState { state, status_message: None }
}

fn subnet_of(tx: &ReadTx<'_>, association: &str) -> Result<Option<Subnet>> {
    let is_it = |subnet: &Subnet| {
        subnet.route_table.as_ref().is_some_and(|own| own.id.as_str() == association)
    };
    Ok(tx.scan(&SUBNETS, ())?.into_iter().find(is_it))
}

fn vpc_of_main(tx: &ReadTx<'_>, association: &str) -> Result<Option<Vpc>> {
    let is_it = |vpc: &Vpc| vpc.main_association.as_str() == association;
    Ok(tx.scan(&VPCS, ())?.into_iter().find(is_it))
}

/// Lets a subnet use the main route table again.
///
/// AWS: DisassociateRouteTable.
pub(crate) async fn disassociate_route_table(
    ctx: Ctx,
    input: DisassociateRouteTableInput,
) -> Result<DisassociateRouteTableOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let id = &input.association_id;
        if let Some(mut subnet) = subnet_of(tx, id)? {
            subnet.route_table = None;
            return Ok(tx.put(&SUBNETS, &subnet)?);
        }
        if vpc_of_main(tx, id)?.is_some() {
            return Err(Error::value(format!(
                "cannot disassociate the main route table association {id}"
            )));
        }
        Err(Error::AssociationNotFound(id.clone()))
    };
    ctx.store.write(write).await?;
    Ok(DisassociateRouteTableOutput {})
}

/// Gives a subnet, or a VPC as its main one, another route table.
///
/// AWS: ReplaceRouteTableAssociation.
pub(crate) async fn replace_route_table_association(
    ctx: Ctx,
    input: ReplaceRouteTableAssociationInput,
) -> Result<ReplaceRouteTableAssociationOutput> {
    let new = ctx.id("rtbassoc");
    let write = |tx: &mut WriteTx<'_>| {
        let table = get(tx, &input.route_table_id)?;
        let id = &input.association_id;
        if let Some(mut subnet) = subnet_of(tx, id)? {
            require_same_vpc(&table, &subnet)?;
            subnet.route_table = Some(RouteAssociation { id: new.clone(), route_table: table.id });
            return Ok(tx.put(&SUBNETS, &subnet)?);
        }
        let found = vpc_of_main(tx, id)?;
        let mut vpc = found.ok_or_else(|| Error::AssociationNotFound(id.clone()))?;
        if vpc.id != table.vpc {
            return Err(Error::value(format!(
                "route table {} and vpc {} belong to different networks",
                table.id, vpc.id
            )));
        }
        vpc.main_route_table = table.id;
        vpc.main_association = new.clone();
        Ok(tx.put(&VPCS, &vpc)?)
    };
    ctx.store.write(write).await?;
    Ok(ReplaceRouteTableAssociationOutput {
        new_association_id: Some(new.to_string()),
        association_state: Some(associated()),
    })
}

fn each<T>(items: &[T], value: impl Fn(&T) -> Option<String>) -> Vec<String> {
    items.iter().filter_map(value).collect()
}

const FIELDS: &[Field<ec2_api::RouteTable>] = &[
    ("association.gateway-id", |_| Vec::new()),
    ("association.main", |table| {
        each(&table.associations, |a| a.main.map(|main| main.to_string()))
    }),
    ("association.route-table-association-id", |table| {
        each(&table.associations, |a| a.route_table_association_id.clone())
    }),
    ("association.route-table-id", |table| each(&table.associations, |a| a.route_table_id.clone())),
    ("association.subnet-id", |table| each(&table.associations, |a| a.subnet_id.clone())),
    ("owner-id", |table| listing::text(table.owner_id.as_ref())),
    ("route-table-id", |table| listing::text(table.route_table_id.as_ref())),
    ("route.destination-cidr-block", |table| {
        each(&table.routes, |r| r.destination_cidr_block.clone())
    }),
    ("route.destination-ipv6-cidr-block", |_| Vec::new()),
    ("route.destination-prefix-list-id", |_| Vec::new()),
    ("route.egress-only-internet-gateway-id", |_| Vec::new()),
    ("route.gateway-id", |table| each(&table.routes, |r| r.gateway_id.clone())),
    ("route.instance-id", |table| each(&table.routes, |r| r.instance_id.clone())),
    ("route.nat-gateway-id", |table| each(&table.routes, |r| r.nat_gateway_id.clone())),
    ("route.network-interface-id", |table| each(&table.routes, |r| r.network_interface_id.clone())),
    ("route.origin", |table| each(&table.routes, |r| r.origin.map(|o| o.to_string()))),
    ("route.state", |table| each(&table.routes, |r| r.state.map(|s| s.to_string()))),
    ("route.transit-gateway-id", |_| Vec::new()),
    ("route.vpc-peering-connection-id", |_| Vec::new()),
    ("vpc-id", |table| listing::text(table.vpc_id.as_ref())),
];

/// Tells the account's route tables.
///
/// AWS: DescribeRouteTables.
pub(crate) async fn describe_route_tables(
    ctx: Ctx,
    input: DescribeRouteTablesInput,
) -> Result<DescribeRouteTablesOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&ROUTE_TABLES, ())?;
        all.iter().map(|table| described(tx, &ctx, table)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |table: &ec2_api::RouteTable| table.route_table_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.route_table_ids,
        |table| table.route_table_id.as_deref().unwrap_or_default(),
        Error::RouteTableNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |table| &table.tags)?;
    let asked = Asked {
        ids: &input.route_table_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (route_tables, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeRouteTablesOutput { route_tables, next_token })
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, table: &RouteTable) -> Result<ec2_api::RouteTable> {
    let vpc = vpc_of(tx, table)?;
    let association = |main, id: &ResourceId, subnet: Option<&Subnet>| RouteTableAssociation {
        main: Some(main),
        route_table_association_id: Some(id.to_string()),
        route_table_id: Some(table.id.to_string()),
        subnet_id: subnet.map(|subnet| subnet.id.to_string()),
        association_state: Some(associated()),
        ..RouteTableAssociation::default()
    };
    let mut associations = Vec::new();
    if vpc.main_route_table == table.id {
        associations.push(association(true, &vpc.main_association, None));
    }
    for subnet in tx.find(&SUBNETS_BY_VPC, &table.vpc)? {
        if let Some(own) = subnet.route_table.as_ref().filter(|own| own.route_table == table.id) {
            associations.push(association(false, &own.id, Some(&subnet)));
        }
    }
    Ok(ec2_api::RouteTable {
        route_table_id: Some(table.id.to_string()),
        vpc_id: Some(table.vpc.to_string()),
        owner_id: Some(ctx.account.to_string()),
        associations,
        routes: route::described(tx, ctx, &vpc, table)?,
        propagating_vgws: Vec::new(),
        tags: tags::wire_of(tx, &table.id)?,
    })
}
