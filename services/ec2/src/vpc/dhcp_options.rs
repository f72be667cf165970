//! DHCP option sets: what the instances of a VPC are told about names and time.

use std::net::Ipv4Addr;

use base::ResourceId;
use ec2_api::{
    AssociateDhcpOptionsInput, AssociateDhcpOptionsOutput, AttributeValue, CreateDhcpOptionsInput,
    CreateDhcpOptionsOutput, DeleteDhcpOptionsInput, DeleteDhcpOptionsOutput,
    DescribeDhcpOptionsInput, DescribeDhcpOptionsOutput, DhcpConfiguration,
};
use store::{ReadTx, WriteTx};

use super::store::{DHCP_OPTIONS, DhcpOptions, VPCS};
use super::{default_vpc, vpc};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// The options that a set may have, with the most values of each.
///
/// AWS: "DHCP option sets in Amazon VPC". NetBIOS and NTP options are refused: nothing here speaks
/// the one, and the host's clock is every instance's.
const OPTIONS: &[(&str, usize)] = &[("domain-name", 1), ("domain-name-servers", 4)];

fn get(tx: &ReadTx<'_>, id: &str) -> Result<DhcpOptions> {
    let parsed = ResourceId::parse("dopt", id);
    let found = parsed.map(|id| tx.get(&DHCP_OPTIONS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::DhcpOptionsNotFound(id.to_owned()))
}

/// What `/etc/resolv.conf` says in a VPC of this set, whose own resolver is `resolver`.
///
/// AWS: "DHCP option sets in Amazon VPC".
pub(crate) fn resolv_conf(options: Option<&DhcpOptions>, resolver: Ipv4Addr) -> String {
    let mut text = String::new();
    let configurations = options.map(|options| options.configurations.as_slice());
    for (name, values) in configurations.unwrap_or_default() {
        for value in values {
            let line = match (name.as_str(), value.as_str()) {
                ("domain-name", domain) => format!("search {domain}\n"),
                (_, "AmazonProvidedDNS") => format!("nameserver {resolver}\n"),
                (_, server) => format!("nameserver {server}\n"),
            };
            text.push_str(&line);
        }
    }
    text
}

fn configurations_from(input: &CreateDhcpOptionsInput) -> Result<Vec<(String, Vec<String>)>> {
    let mut configurations: Vec<(String, Vec<String>)> = Vec::new();
    for given in &input.dhcp_configurations {
        let key = given.key.clone().ok_or_else(|| Error::missing("dhcpConfiguration.key"))?;
        let Some((_, most)) = OPTIONS.iter().find(|(known, _)| *known == key) else {
            return Err(Error::value(format!(
                "Value ({key}) for parameter dhcpOptionKey is invalid. Unknown or unsupported DHCP \
                 option"
            )));
        };
        // The console and older clients join several servers by commas.
        let values: Vec<String> = given
            .values
            .iter()
            .flat_map(|value| value.split(','))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        if values.is_empty() || values.len() > *most {
            return Err(Error::value(format!(
                "The DHCP option {key} must have one to {most} values"
            )));
        }
        let servers = key.ends_with("-servers");
        let address = |value: &String| {
            value == "AmazonProvidedDNS" || value.parse::<std::net::IpAddr>().is_ok()
        };
        if servers && !values.iter().all(address) {
            return Err(Error::value(format!(
                "Value ({}) for parameter {key} is invalid. Invalid IP address.",
                values.join(",")
            )));
        }
        configurations.push((key, values));
    }
    Ok(configurations)
}

/// Makes a DHCP option set.
///
/// AWS: CreateDhcpOptions.
pub(crate) async fn create_dhcp_options(
    ctx: Ctx,
    input: CreateDhcpOptionsInput,
) -> Result<CreateDhcpOptionsOutput> {
    const KIND: &str = "dhcp-options";
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let configurations = configurations_from(&input)?;
    let write = |tx: &mut WriteTx<'_>| {
        let id = Maker::of(&ctx).id("dopt");
        let configurations = configurations.clone();
        let options = DhcpOptions { id, is_default: false, configurations };
        tx.put(&DHCP_OPTIONS, &options)?;
        tags::begin(tx, &options.id, KIND, &wanted)?;
        described(tx, &ctx, &options)
    };
    let dhcp_options = Some(ctx.store.write(write).await?);
    Ok(CreateDhcpOptionsOutput { dhcp_options })
}

/// Removes a set that no VPC uses.
///
/// AWS: DeleteDhcpOptions.
pub(crate) async fn delete_dhcp_options(
    ctx: Ctx,
    input: DeleteDhcpOptionsInput,
) -> Result<DeleteDhcpOptionsOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let options = get(tx, &input.dhcp_options_id)?;
        let used =
            tx.scan(&VPCS, ())?.iter().any(|vpc| vpc.dhcp_options.as_ref() == Some(&options.id));
        if used {
            return Err(Error::DependencyViolation(format!(
                "The dhcpOptions '{}' has dependencies and cannot be deleted.",
                options.id
            )));
        }
        tx.delete(&DHCP_OPTIONS, &options.id)?;
        tags::end(tx, &options.id)
    };
    ctx.store.write(write).await?;
    Ok(DeleteDhcpOptionsOutput {})
}

/// Gives a VPC another set, or none (`default`).
///
/// AWS: AssociateDhcpOptions.
pub(crate) async fn associate_dhcp_options(
    ctx: Ctx,
    input: AssociateDhcpOptionsInput,
) -> Result<AssociateDhcpOptionsOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut vpc = vpc::get(tx, &input.vpc_id)?;
        vpc.dhcp_options = match input.dhcp_options_id.as_str() {
            "default" => None,
            id => Some(get(tx, id)?.id),
        };
        Ok::<_, Error>(tx.put(&VPCS, &vpc)?)
    };
    ctx.store.write(write).await?;
    Ok(AssociateDhcpOptionsOutput {})
}

const FIELDS: &[Field<ec2_api::DhcpOptions>] = &[
    ("dhcp-options-id", |options| listing::text(options.dhcp_options_id.as_ref())),
    ("key", |options| options.dhcp_configurations.iter().filter_map(|c| c.key.clone()).collect()),
    ("value", |options| {
        let values = options.dhcp_configurations.iter().flat_map(|c| &c.values);
        values.filter_map(|value| value.value.clone()).collect()
    }),
    ("owner-id", |options| listing::text(options.owner_id.as_ref())),
];

/// Tells the account's DHCP option sets.
///
/// AWS: DescribeDhcpOptions.
pub(crate) async fn describe_dhcp_options(
    ctx: Ctx,
    input: DescribeDhcpOptionsInput,
) -> Result<DescribeDhcpOptionsOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&DHCP_OPTIONS, ())?;
        all.iter().map(|options| described(tx, &ctx, options)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |options: &ec2_api::DhcpOptions| options.dhcp_options_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.dhcp_options_ids,
        |options| options.dhcp_options_id.as_deref().unwrap_or_default(),
        Error::DhcpOptionsNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |options| &options.tags)?;
    let asked = Asked {
        ids: &input.dhcp_options_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (dhcp_options, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeDhcpOptionsOutput { dhcp_options, next_token })
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, options: &DhcpOptions) -> Result<ec2_api::DhcpOptions> {
    let value = |value: &String| AttributeValue { value: Some(value.clone()) };
    let configuration = |(key, values): &(String, Vec<String>)| DhcpConfiguration {
        key: Some(key.clone()),
        values: values.iter().map(value).collect(),
    };
    Ok(ec2_api::DhcpOptions {
        dhcp_options_id: Some(options.id.to_string()),
        owner_id: Some(ctx.account.to_string()),
        dhcp_configurations: options.configurations.iter().map(configuration).collect(),
        tags: tags::wire_of(tx, &options.id)?,
    })
}
