//! The quotas that hold here.

use elbv2_api::{DescribeAccountLimitsInput, DescribeAccountLimitsOutput, Limit};
use kernel::quota::Quota;
use store::Scope;

use crate::Ctx;
use crate::error::Result;
use crate::listing;

/// Application Load Balancers in a region.
///
/// AWS: "Quotas for your Application Load Balancers", as all below.
pub(crate) const LOAD_BALANCERS: Quota = quota("L-53DA6B97", 50);
/// Target groups in a region.
pub(crate) const TARGET_GROUPS: Quota = quota("L-B22855CB", 3000);
/// Listeners of a load balancer.
pub(crate) const LISTENERS: Quota = quota("L-B6DF7632", 50);
/// Rules of a load balancer, default ones apart.
pub(crate) const RULES: Quota = quota("L-8C63D2E1", 100);
/// Targets of a target group.
pub(crate) const TARGETS_PER_GROUP: Quota = quota("L-A0D0B863", 1000);
/// Target groups that one load balancer uses.
pub(crate) const GROUPS_PER_LOAD_BALANCER: Quota = quota("L-822D1B1B", 100);
/// Certificates of one load balancer, default ones apart.
pub(crate) const CERTIFICATES: usize = 25;
/// Target groups of one forward action.
pub(crate) const GROUPS_PER_ACTION: usize = 5;
/// Values of all conditions of a rule.
pub(crate) const CONDITION_VALUES: usize = 5;
/// Wildcards of all conditions of a rule.
pub(crate) const CONDITION_WILDCARDS: usize = 6;

const fn quota(code: &'static str, default: u64) -> Quota {
    Quota { service: "elasticloadbalancing", code, default }
}

/// The value of `quota` for the caller's account.
pub(crate) async fn value(ctx: &Ctx, quota: Quota) -> Result<usize> {
    let scope = Scope::new(ctx.account.clone(), ctx.region.clone());
    let value = quota.value(ctx.store.store(), &scope).await?;
    Ok(usize::try_from(value).unwrap_or(usize::MAX))
}

/// Tells the quotas.
///
/// AWS: DescribeAccountLimits.
pub(crate) async fn describe_account_limits(
    ctx: Ctx,
    input: DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput> {
    let limits = [
        ("application-load-balancers", value(&ctx, LOAD_BALANCERS).await?),
        ("target-groups", value(&ctx, TARGET_GROUPS).await?),
        ("listeners-per-application-load-balancer", value(&ctx, LISTENERS).await?),
        ("rules-per-application-load-balancer", value(&ctx, RULES).await?),
        ("targets-per-target-group", value(&ctx, TARGETS_PER_GROUP).await?),
        (
            "target-groups-per-application-load-balancer",
            value(&ctx, GROUPS_PER_LOAD_BALANCER).await?,
        ),
        ("target-groups-per-action-on-application-load-balancer", GROUPS_PER_ACTION),
        ("condition-values-per-alb-rule", CONDITION_VALUES),
        ("condition-wildcards-per-alb-rule", CONDITION_WILDCARDS),
    ];
    let limits = limits.into_iter().collect();
    let page = listing::page(limits, input.marker.as_deref(), input.page_size, |(name, _)| {
        (*name).to_owned()
    })?;
    let limit = |(name, max): (&str, usize)| Limit {
        name: Some(name.to_owned()),
        max: Some(max.to_string()),
    };
    Ok(DescribeAccountLimitsOutput {
        limits: page.items.into_iter().map(limit).collect(),
        next_marker: page.next,
    })
}
