//! What the account asks of its users' passwords.
//!
//! AWS: "Set an account password policy for IAM users".

use iam_api::{
    DeleteAccountPasswordPolicyInput, DeleteAccountPasswordPolicyOutput,
    GetAccountPasswordPolicyInput, GetAccountPasswordPolicyOutput, PasswordPolicy,
    UpdateAccountPasswordPolicyInput, UpdateAccountPasswordPolicyOutput,
};
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::error::{Error, Result};
use crate::store::{PASSWORD_RULES, PasswordRules};

/// The only row's key.
const ROW: &str = "policy";
/// The least length where the account says nothing of it. AWS: UpdateAccountPasswordPolicy.
const LENGTH_DEFAULT: i32 = 6;
/// What counts as a symbol.
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";

impl PasswordRules {
    /// The rules of an account that set none.
    ///
    /// AWS: "Set an account password policy for IAM users", Default password policy.
    fn unset() -> Self {
        Self {
            id: ROW.to_owned(),
            length_min: 8,
            symbols: false,
            numbers: false,
            uppercase: false,
            lowercase: false,
            users_may_change: false,
            age_max_days: None,
            reuse_prevention: None,
            hard_expiry: false,
        }
    }

    /// Refuses a password that the rules do not allow.
    ///
    /// # Errors
    ///
    /// [`Error::PasswordPolicyViolation`].
    pub(crate) fn check(&self, password: &str, is_set: bool) -> Result<()> {
        let has = |wanted: fn(char) -> bool| password.chars().any(wanted);
        let length = usize::try_from(self.length_min).unwrap_or_default();
        let kinds = [
            has(|c| c.is_ascii_uppercase()),
            has(|c| c.is_ascii_lowercase()),
            has(|c| c.is_ascii_digit()),
            has(|c| SYMBOLS.contains(c)),
        ];
        let [upper, lower, digit, symbol] = kinds;
        let failed = if password.chars().count() < length {
            "minimum length"
        } else if !is_set && kinds.iter().filter(|has| **has).count() < 3 {
            "at least three of: uppercase, lowercase, numbers, and non-alphanumeric characters"
        } else if self.uppercase && !upper {
            "at least one uppercase character"
        } else if self.lowercase && !lower {
            "at least one lowercase character"
        } else if self.numbers && !digit {
            "at least one number"
        } else if self.symbols && !symbol {
            "at least one symbol"
        } else {
            return Ok(());
        };
        Err(Error::PasswordPolicyViolation(format!(
            "Password does not conform to the account password policy: {failed}."
        )))
    }
}

/// The rules in force, and whether the account set them.
pub(crate) fn rules(tx: &ReadTx<'_>) -> Result<(PasswordRules, bool)> {
    Ok(match tx.get(&PASSWORD_RULES, ROW)? {
        Some(rules) => (rules, true),
        None => (PasswordRules::unset(), false),
    })
}

fn missing(ctx: &Ctx) -> Error {
    Error::NoSuchEntity(format!(
        "The Password Policy with domain name {} cannot be found.",
        ctx.account
    ))
}

/// The account's own rules.
///
/// AWS: GetAccountPasswordPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_account_password_policy(
    ctx: Ctx,
    _input: GetAccountPasswordPolicyInput,
) -> Result<GetAccountPasswordPolicyOutput> {
    access::require(&ctx, "GetAccountPasswordPolicy", "*", Keys::new()).await?;
    let (rules, is_set) = ctx.store.read(rules).await?;
    if !is_set {
        return Err(missing(&ctx));
    }
    Ok(GetAccountPasswordPolicyOutput {
        password_policy: PasswordPolicy {
            minimum_password_length: Some(rules.length_min),
            require_symbols: Some(rules.symbols),
            require_numbers: Some(rules.numbers),
            require_uppercase_characters: Some(rules.uppercase),
            require_lowercase_characters: Some(rules.lowercase),
            allow_users_to_change_password: Some(rules.users_may_change),
            expire_passwords: Some(rules.age_max_days.is_some()),
            max_password_age: rules.age_max_days,
            password_reuse_prevention: rules.reuse_prevention,
            hard_expiry: Some(rules.hard_expiry),
        },
    })
}

/// Sets the rules. What is not said has its default again.
///
/// AWS: UpdateAccountPasswordPolicy.
pub(crate) async fn update_account_password_policy(
    ctx: Ctx,
    input: UpdateAccountPasswordPolicyInput,
) -> Result<UpdateAccountPasswordPolicyOutput> {
    access::require(&ctx, "UpdateAccountPasswordPolicy", "*", Keys::new()).await?;
    let rules = PasswordRules {
        id: ROW.to_owned(),
        length_min: input.minimum_password_length.unwrap_or(LENGTH_DEFAULT),
        symbols: input.require_symbols.unwrap_or(false),
        numbers: input.require_numbers.unwrap_or(false),
        uppercase: input.require_uppercase_characters.unwrap_or(false),
        lowercase: input.require_lowercase_characters.unwrap_or(false),
        users_may_change: input.allow_users_to_change_password.unwrap_or(false),
        age_max_days: input.max_password_age,
        reuse_prevention: input.password_reuse_prevention,
        hard_expiry: input.hard_expiry.unwrap_or(false),
    };
    ctx.store.write(|tx| tx.put(&PASSWORD_RULES, &rules)).await?;
    Ok(UpdateAccountPasswordPolicyOutput {})
}

/// Takes the account's rules away.
///
/// AWS: DeleteAccountPasswordPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_account_password_policy(
    ctx: Ctx,
    _input: DeleteAccountPasswordPolicyInput,
) -> Result<DeleteAccountPasswordPolicyOutput> {
    access::require(&ctx, "DeleteAccountPasswordPolicy", "*", Keys::new()).await?;
    ctx.store
        .write(|tx| {
            if !tx.contains(&PASSWORD_RULES, ROW)? {
                return Err(missing(&ctx));
            }
            tx.delete(&PASSWORD_RULES, ROW)?;
            Ok(())
        })
        .await?;
    Ok(DeleteAccountPasswordPolicyOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_for_passwords() {
        let unset = PasswordRules::unset();
        for (password, good) in
            [("Short1!", false), ("alllowercase", false), ("Mixed123", true), ("mixed123!", true)]
        {
            assert_eq!(unset.check(password, false).is_ok(), good, "{password}");
        }
        let strict =
            PasswordRules { length_min: 10, symbols: true, uppercase: true, ..unset.clone() };
        for (password, good) in [
            ("Abcdefgh!", false),
            ("Abcdefghi!", true),
            ("abcdefghi!", false),
            ("Abcdefghij", false),
        ] {
            assert_eq!(strict.check(password, true).is_ok(), good, "{password}");
        }
    }
}
