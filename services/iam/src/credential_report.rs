//! The report of all users and the state of what they prove themselves with.
//!
//! AWS: "Generate credential reports for your AWS account".

use std::fmt::Write as _;
use std::time::Duration;

use base::{Arn, Timestamp};
use iam_api::{
    GenerateCredentialReportInput, GenerateCredentialReportOutput, GetCredentialReportInput,
    GetCredentialReportOutput, ReportFormatType, ReportStateType,
};
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::entity::{Entity, date};
use crate::error::{Error, Result};
use crate::password_policy::rules;
use crate::store::{
    ACCOUNTS, KEY_USES, KEYS_BY_USER, Key, LOGIN_PROFILES, MFA_BY_HOLDER, PublicKey, REPORTS,
    Report, SIGNING_BY_HOLDER, USERS,
};

/// The report's row.
const ROW: &str = "credential-report";
/// A report is made anew when it is this old. AWS: as above, every four hours.
const KEPT: Duration = Duration::from_secs(4 * 3600);

const HEADER: &str = "user,arn,user_creation_time,password_enabled,password_last_used,\
password_last_changed,password_next_rotation,mfa_active,access_key_1_active,\
access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,\
cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

/// Makes the report, unless there is one of the last four hours.
///
/// AWS: GenerateCredentialReport.
pub(crate) async fn generate_credential_report(
    ctx: Ctx,
    _input: GenerateCredentialReportInput,
) -> Result<GenerateCredentialReportOutput> {
    access::require(&ctx, "GenerateCredentialReport", "*", Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let fresh = tx.get(&REPORTS, ROW)?.filter(|r| ctx.now().since(r.made) < KEPT);
            if fresh.is_none() {
                let text = text(tx, &ctx)?;
                let made = ctx.now();
                tx.put(&REPORTS, &Report { id: ROW.to_owned(), made, text, actions: false })?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(GenerateCredentialReportOutput { state: Some(ReportStateType::Complete), description: None })
}

/// The report.
///
/// AWS: GetCredentialReport.
///
/// # Errors
///
/// [`Error::ReportNotPresent`], [`Error::ReportExpired`].
pub(crate) async fn get_credential_report(
    ctx: Ctx,
    _input: GetCredentialReportInput,
) -> Result<GetCredentialReportOutput> {
    access::require(&ctx, "GetCredentialReport", "*", Keys::new()).await?;
    let report = ctx.store.read(|tx| tx.get(&REPORTS, ROW)).await?;
    let report = report.ok_or(Error::ReportNotPresent(
        "No report is present. Please request a new report using GenerateCredentialReport.",
    ))?;
    if ctx.now().since(report.made) >= KEPT {
        return Err(Error::ReportExpired(
            "The credential report is expired. Please request a new report.",
        ));
    }
    Ok(GetCredentialReportOutput {
        content: Some(report.text.into_bytes().into()),
        report_format: Some(ReportFormatType::TextCsv),
        generated_time: Some(date(report.made)),
    })
}

fn text(tx: &ReadTx<'_>, ctx: &Ctx) -> Result<String> {
    let account = ctx.account.as_str();
    let mut out = HEADER.to_owned();
    let created = tx.get(&ACCOUNTS, account)?.map(|found| found.created);
    let mut root = vec![
        "<root_account>".to_owned(),
        Arn::new("iam", "", account, "root").to_string(),
        stamp(created),
    ];
    root.extend(
        ["not_supported", "no_information", "not_supported", "not_supported"].map(str::to_owned),
    );
    push(&mut out, tx, root, (account, ""), account)?;
    let (rules, _) = rules(tx)?;
    let age = rules.age_max_days.and_then(|days| u64::try_from(days).ok());
    for user in tx.scan(&USERS, ())? {
        let mut row =
            vec![user.name.clone(), user.arn(&ctx.account).to_string(), stamp(Some(user.created))];
        match tx.get(&LOGIN_PROFILES, &user.id)? {
            Some(profile) => {
                let next = age.map(|days| profile.changed + Duration::from_secs(days * 86_400));
                // Nobody signs in to a console here.
                row.extend(["true".to_owned(), "no_information".to_owned()]);
                row.extend([stamp(Some(profile.changed)), stamp(next)]);
            }
            None => row.extend(["false", "N/A", "N/A", "N/A"].map(str::to_owned)),
        }
        push(&mut out, tx, row, (account, &user.name), &user.id)?;
    }
    Ok(out)
}

/// Adds what users and the root user have alike.
fn push(
    out: &mut String,
    tx: &ReadTx<'_>,
    mut row: Vec<String>,
    keys_of: (&str, &str),
    holder: &str,
) -> Result<()> {
    let devices = tx.find(&MFA_BY_HOLDER, holder)?;
    row.push((!devices.is_empty()).to_string());
    let owner = (keys_of.0.to_owned(), keys_of.1.to_owned());
    let keys: Vec<Key> = tx.find(&KEYS_BY_USER, owner)?;
    for at in 0..2 {
        let key = keys.get(at);
        let used = key.map(|key| tx.get(&KEY_USES, &key.id)).transpose()?.flatten();
        row.push(key.is_some_and(|key| key.active).to_string());
        row.push(stamp(key.map(|key| key.created)));
        row.push(stamp(used.as_ref().map(|used| used.at)));
        row.push(used.as_ref().map_or_else(none, |used| used.region.clone()));
        row.push(used.as_ref().map_or_else(none, |used| used.service.clone()));
    }
    let certificates: Vec<PublicKey> = tx.find(&SIGNING_BY_HOLDER, holder)?;
    for at in 0..2 {
        let certificate = certificates.get(at);
        row.push(certificate.is_some_and(|found| found.active).to_string());
        row.push(stamp(certificate.map(|found| found.uploaded)));
    }
    // Writing to a text cannot fail.
    let _ = write!(out, "\n{}", row.join(","));
    Ok(())
}

fn none() -> String {
    "N/A".to_owned()
}

fn stamp(at: Option<Timestamp>) -> String {
    at.map_or_else(none, |at| at.iso8601_seconds().replace('Z', "+00:00"))
}
