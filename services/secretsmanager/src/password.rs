//! Random passwords.

use base::Random;
use secretsmanager_api::{GetRandomPasswordInput, GetRandomPasswordOutput};

use crate::Ctx;
use crate::error::{Error, Result};

/// AWS: GetRandomPassword, `PasswordLength`.
const LENGTH_DEFAULT: i64 = 32;
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// What a password is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) length: usize,
    pub(crate) excluded: String,
    pub(crate) no_numbers: bool,
    pub(crate) no_punctuation: bool,
    pub(crate) no_uppercase: bool,
    pub(crate) no_lowercase: bool,
    pub(crate) space: bool,
    pub(crate) each: bool,
}

/// Makes a password.
///
/// AWS: GetRandomPassword.
///
/// # Errors
///
/// [`Error::InvalidParameter`] when nothing is left to choose from.
pub(crate) async fn get_random_password(
    ctx: Ctx,
    input: GetRandomPasswordInput,
) -> Result<GetRandomPasswordOutput> {
    let length = input.password_length.unwrap_or(LENGTH_DEFAULT);
    let rules = Rules {
        length: usize::try_from(length).unwrap_or(0),
        excluded: input.exclude_characters.unwrap_or_default(),
        no_numbers: input.exclude_numbers.unwrap_or(false),
        no_punctuation: input.exclude_punctuation.unwrap_or(false),
        no_uppercase: input.exclude_uppercase.unwrap_or(false),
        no_lowercase: input.exclude_lowercase.unwrap_or(false),
        space: input.include_space.unwrap_or(false),
        each: input.require_each_included_type.unwrap_or(true),
    };
    let password = make(&rules, ctx.random())?;
    Ok(GetRandomPasswordOutput { random_password: Some(password) })
}

/// A password after `rules`.
pub(crate) fn make(rules: &Rules, random: &dyn Random) -> Result<String> {
    let sets = [
        (!rules.no_lowercase, "abcdefghijklmnopqrstuvwxyz"),
        (!rules.no_uppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        (!rules.no_numbers, "0123456789"),
        (!rules.no_punctuation, PUNCTUATION),
        (rules.space, " "),
    ];
    let left = |set: &str| set.chars().filter(|c| !rules.excluded.contains(*c)).collect::<String>();
    let sets: Vec<String> = sets
        .iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, set)| left(set))
        .filter(|set| !set.is_empty())
        .collect();
    let all: String = sets.concat();
    if all.is_empty() || rules.length == 0 || (rules.each && sets.len() > rules.length) {
        return Err(Error::InvalidParameter(
            "There are no characters left to generate the password from.".to_owned(),
        ));
    }
    let mut password: Vec<char> = Vec::with_capacity(rules.length);
    if rules.each {
        password
            .extend(sets.iter().flat_map(|set| random.text(set, 1).chars().collect::<Vec<_>>()));
    }
    password.extend(random.text(&all, rules.length - password.len()).chars());
    shuffle(&mut password, random);
    Ok(password.into_iter().collect())
}

fn shuffle(list: &mut [char], random: &dyn Random) {
    for last in (1..list.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(0);
        list.swap(last, other);
    }
}
