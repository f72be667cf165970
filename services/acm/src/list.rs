//! Lists of certificates.

use acm_api::{
    CertificateSummary, ExtendedKeyUsageName, Filters, KeyAlgorithm, KeyUsageName,
    ListCertificatesInput, ListCertificatesOutput, SortOrder,
};
use kernel::certificates;

use crate::Ctx;
use crate::describe::{eligibility, export, kind, origin};
use crate::error::{Error, Result};
use crate::store::{CERTIFICATES, Certificate, Kind};

/// AWS: ListCertificates (`MaxItems`, at most 1000).
const PAGE_MAX: usize = 1000;
/// AWS: CertificateSummary (`SubjectAlternativeNameSummaries`, up to 100).
const NAMES_SHOWN: usize = 100;
/// Kinds of keys that are listed when no filter names any.
///
/// AWS: Filters ("Default filtering returns only RSA_1024 and RSA_2048 certificates").
const KEY_TYPES: [&str; 2] = ["RSA_1024", "RSA_2048"];

/// Lists certificates.
///
/// AWS: ListCertificates.
///
/// # Errors
///
/// [`Error::InvalidArgs`] for a token that was not given out.
pub(crate) async fn list_certificates(
    ctx: Ctx,
    input: ListCertificatesInput,
) -> Result<ListCertificatesOutput> {
    if input.sort_by.is_some() != input.sort_order.is_some() {
        return Err(Error::Validation(
            "SortBy and SortOrder must be specified together.".to_owned(),
        ));
    }
    let all = ctx
        .store
        .read(|tx| {
            let with_use = |found: Certificate| {
                let used = !certificates::users(tx, &found.arn)?.is_empty();
                Ok((found, used))
            };
            tx.scan(&CERTIFICATES, ())?.into_iter().map(with_use).collect::<Result<Vec<_>>>()
        })
        .await?;
    let asked = |(found, _): &(Certificate, bool)| {
        let statuses = &input.certificate_statuses;
        let origins = &input.certificate_key_pair_origins;
        (statuses.is_empty() || statuses.contains(&found.status.to_wire()))
            && (origins.is_empty() || origin(found).is_some_and(|it| origins.contains(&it)))
            && included(found, input.includes.as_ref())
    };
    let found: Vec<_> = all.into_iter().filter(asked).collect();
    let newest_first = input.sort_order == Some(SortOrder::Descending);
    // What was made later has the greater key, or the smaller one where that is asked for.
    let key = |(found, _): &(Certificate, bool)| {
        let at = u64::try_from(found.created.as_millis()).unwrap_or(0);
        let at = if newest_first { u64::MAX - at } else { at };
        format!("{at:020}{}", found.arn)
    };
    let size = input.max_items.and_then(|size| usize::try_from(size).ok()).unwrap_or(PAGE_MAX);
    let token = input.next_token.as_deref();
    let page = kernel::paging::page(found, token, size.clamp(1, PAGE_MAX), key)
        .map_err(|error| Error::InvalidArgs(error.to_string()))?;
    Ok(ListCertificatesOutput {
        certificate_summary_list: page.items.into_iter().map(summary).collect(),
        next_token: page.next,
    })
}

fn included(found: &Certificate, filters: Option<&Filters>) -> bool {
    let facts = found.material.as_ref().map(|material| &material.facts);
    let key_types = filters.map(|it| it.key_types.as_slice()).unwrap_or_default();
    let kind_fits = if key_types.is_empty() {
        KEY_TYPES.contains(&found.algorithm.as_str())
    } else {
        let own: Option<KeyAlgorithm> = found.algorithm.parse().ok();
        own.is_some_and(|own| key_types.contains(&own))
    };
    let Some(filters) = filters else { return kind_fits };
    let has_usage = |wanted: &KeyUsageName| {
        *wanted == KeyUsageName::Any
            || facts.is_some_and(|it| it.key_usages.contains(&wanted.to_string()))
    };
    let has_extended = |wanted: &ExtendedKeyUsageName| {
        let names = facts.map(|it| it.extended_key_usages.as_slice()).unwrap_or_default();
        let is_any = *wanted == ExtendedKeyUsageName::Any;
        let is_none = *wanted == ExtendedKeyUsageName::None && names.is_empty();
        is_any || is_none || names.iter().any(|(name, _)| *name == wanted.to_string())
    };
    let exported = filters.export_option;
    kind_fits
        && filters.key_usage.iter().all(has_usage)
        && filters.extended_key_usage.iter().all(has_extended)
        && exported.is_none_or(|it| found.kind == Kind::AmazonIssued && it == export(found))
        // No other service manages certificates here.
        && filters.managed_by.is_none()
}

fn summary((found, used): (Certificate, bool)) -> CertificateSummary {
    let facts = found.material.as_ref().map(|material| &material.facts);
    CertificateSummary {
        certificate_arn: Some(found.arn.clone()),
        domain_name: Some(found.domain.clone()),
        subject_alternative_name_summaries: found.names.iter().take(NAMES_SHOWN).cloned().collect(),
        has_additional_subject_alternative_names: Some(found.names.len() > NAMES_SHOWN),
        status: Some(found.status.to_wire()),
        type_: Some(kind(&found)),
        key_algorithm: found.algorithm.parse().ok(),
        key_usages: facts
            .into_iter()
            .flat_map(|it| &it.key_usages)
            .filter_map(|name| name.parse().ok())
            .collect(),
        extended_key_usages: facts
            .into_iter()
            .flat_map(|it| &it.extended_key_usages)
            .filter_map(|(name, _)| name.parse().ok())
            .collect(),
        export_option: (found.kind == Kind::AmazonIssued).then(|| export(&found)),
        in_use: Some(used),
        exported: Some(found.exported),
        renewal_eligibility: eligibility(&found, used),
        not_before: facts.map(|it| it.not_before),
        not_after: facts.map(|it| it.not_after),
        created_at: Some(found.created),
        issued_at: found.issued,
        imported_at: found.imported,
        revoked_at: found.revoked.as_ref().map(|(at, _)| *at),
        managed_by: None,
        certificate_key_pair_origin: origin(&found),
    }
}
