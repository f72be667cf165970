//! The account's settings.

use acm_api::{
    ExpiryEventsConfiguration, GetAccountConfigurationInput, GetAccountConfigurationOutput,
    PutAccountConfigurationInput, PutAccountConfigurationOutput,
};
use std::time::Duration;

use crate::Ctx;
use crate::error::{Error, Result, invalid};
use crate::store::{ACCOUNTS, Account};

/// AWS: PutAccountConfiguration ("If you don't configure this value, 45 days").
const DAYS_DEFAULT: i32 = 45;
const DAYS_MAX: i32 = 45;
/// AWS: PutAccountConfiguration (`IdempotencyToken`, one hour).
const TOKEN_COUNTS: Duration = Duration::from_secs(3600);

/// Tells the account's settings.
///
/// AWS: GetAccountConfiguration.
pub(crate) async fn get_account_configuration(
    ctx: Ctx,
    _input: GetAccountConfigurationInput,
) -> Result<GetAccountConfigurationOutput> {
    let found = ctx.store.read(|tx| tx.get(&ACCOUNTS, Account::KEY)).await?;
    let days = found.map_or(DAYS_DEFAULT, |found| found.days_before_expiry);
    let expiry_events = Some(ExpiryEventsConfiguration { days_before_expiry: Some(days) });
    Ok(GetAccountConfigurationOutput { expiry_events })
}

/// Sets how early events about the end of certificates begin.
///
/// AWS: PutAccountConfiguration.
///
/// # Errors
///
/// [`Error::Conflict`] when a token comes again with other settings.
pub(crate) async fn put_account_configuration(
    ctx: Ctx,
    input: PutAccountConfigurationInput,
) -> Result<PutAccountConfigurationOutput> {
    let days = input.expiry_events.and_then(|it| it.days_before_expiry).unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(invalid(format!("DaysBeforeExpiry must be between 1 and {DAYS_MAX}.")));
    }
    let wanted =
        Account { days_before_expiry: days, token: input.idempotency_token, token_used: ctx.now() };
    ctx.store
        .write(|tx| {
            if let Some(before) = tx.get(&ACCOUNTS, Account::KEY)?
                && before.token == wanted.token
                && wanted.token_used.since(before.token_used) < TOKEN_COUNTS
            {
                return if before.days_before_expiry == days {
                    Ok(())
                } else {
                    Err(Error::Conflict(
                        "The idempotency token was used with other settings.".to_owned(),
                    ))
                };
            }
            Ok(tx.put(&ACCOUNTS, &wanted)?)
        })
        .await?;
    Ok(PutAccountConfigurationOutput {})
}
