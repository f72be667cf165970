//! Keys: typed tuples whose bytes sort as their values do.
//!
//! Text ends with `00 01` and writes a zero byte inside as `00 ff`, so that no text is a prefix of
//! another and `"a"` sorts before `"a\0"` and `"ab"`. Numbers are big-endian, signed ones with the
//! sign bit turned.

use base::{AccountId, Arn, Cidr, Region, ResourceId, Timestamp, Zone};
use serde::de::DeserializeOwned;
use serde::de::value::StringDeserializer;
use serde::de::{IntoDeserializer, value};

use crate::{Error, Result};

/// The longest encoded key, scope and index value included: what a PostgreSQL index row holds.
pub(crate) const KEY_BYTES_MAX: usize = 2_600;

/// A type that rows can be keyed by. The order of its encodings is the order of its rows.
pub trait Key: KeyLike<Self> + Clone + Send + Sync + Sized + 'static {
    /// Reads a key from the front of `bytes` and moves them on behind it.
    ///
    /// # Errors
    ///
    /// [`Error::BadKey`] when the bytes are not one.
    fn decode_key(bytes: &mut &[u8]) -> Result<Self>;
}

/// A value that can stand for a `K` in a lookup, as `&str` for `String`.
pub trait KeyLike<K> {
    /// Appends the key's bytes to `out`.
    fn encode_key(&self, out: &mut Vec<u8>);
}

/// The first part of a `K`: `()` for all keys, `(a,)` or `(a, b)` for the first members of a
/// tuple, [`StartsWith`] for the beginning of a text.
pub trait Prefix<K> {
    /// Appends the prefix's bytes to `out`.
    fn encode_prefix(&self, out: &mut Vec<u8>);
}

/// The prefix of all texts that start with this one.
#[derive(Debug, Clone, Copy)]
pub struct StartsWith<'a>(pub &'a str);

/// Makes types that are written with `Display` and read with serde from the same text usable as
/// keys: `text_key!(QueueName);`. They sort by their text.
#[macro_export]
macro_rules! text_key {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::KeyLike<$type> for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                $crate::encode_text(&self.to_string(), out);
            }
        }

        impl $crate::Key for $type {
            fn decode_key(bytes: &mut &[u8]) -> $crate::Result<Self> {
                $crate::decode_text(bytes)
            }
        }
    )+};
}

text_key!(AccountId, Arn, Cidr, Region, ResourceId, Zone);

/// Appends `text` as a key's member to `out`.
pub fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_open_text(text, out);
    out.extend_from_slice(&[0, 1]);
}

/// Reads a text from the front of `bytes` as a `T`.
///
/// # Errors
///
/// [`Error::BadKey`] when the bytes are no text or the text is no `T`.
pub fn decode_text<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T> {
    let bad = || Error::BadKey { expected: std::any::type_name::<T>() };
    let text = take_text(bytes).ok_or_else(bad)?;
    let deserializer: StringDeserializer<value::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|_| bad())
}

/// Reads `bytes`, all of them, as a key.
pub(crate) fn decode_whole<K: Key>(mut bytes: &[u8]) -> Result<K> {
    let key = K::decode_key(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(Error::BadKey { expected: std::any::type_name::<K>() });
    }
    Ok(key)
}

/// Refuses a key that some backend could not hold.
pub(crate) fn check_length(key: &[u8]) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::KeyTooLong { length: key.len(), max: KEY_BYTES_MAX });
    }
    Ok(())
}

fn encode_open_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let mut text = Vec::new();
    loop {
        match *bytes {
            [0, 1, rest @ ..] => {
                *bytes = rest;
                return String::from_utf8(text).ok();
            }
            [0, 0xff, rest @ ..] => {
                text.push(0);
                *bytes = rest;
            }
            [0, ..] | [] => return None,
            [byte, rest @ ..] => {
                text.push(*byte);
                *bytes = rest;
            }
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8], expected: &'static str) -> Result<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or(Error::BadKey { expected })?;
    *bytes = rest;
    Ok(*first)
}

impl<K, T: KeyLike<K> + ?Sized> KeyLike<K> for &T {
    fn encode_key(&self, out: &mut Vec<u8>) {
        T::encode_key(self, out);
    }
}

impl KeyLike<String> for str {
    fn encode_key(&self, out: &mut Vec<u8>) {
        encode_text(self, out);
    }
}

impl KeyLike<String> for String {
    fn encode_key(&self, out: &mut Vec<u8>) {
        encode_text(self, out);
    }
}

impl Key for String {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        take_text(bytes).ok_or(Error::BadKey { expected: "text" })
    }
}

/// The key of a table's only record.
impl KeyLike<()> for () {
    fn encode_key(&self, _: &mut Vec<u8>) {}
}

impl Key for () {
    fn decode_key(_: &mut &[u8]) -> Result<Self> {
        Ok(())
    }
}

macro_rules! unsigned_key {
    ($($type:ty),+) => {$(
        impl KeyLike<$type> for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }

        impl Key for $type {
            fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
                take(bytes, stringify!($type)).map(<$type>::from_be_bytes)
            }
        }
    )+};
}

unsigned_key!(u8, u16, u32, u64, u128);

impl KeyLike<bool> for bool {
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Key for bool {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        let [byte] = take(bytes, "bool")?;
        Ok(byte != 0)
    }
}

impl KeyLike<i64> for i64 {
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self ^ Self::MIN).to_be_bytes());
    }
}

impl Key for i64 {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        take(bytes, "i64").map(|bytes| Self::from_be_bytes(bytes) ^ Self::MIN)
    }
}

impl KeyLike<Timestamp> for Timestamp {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.as_millis().encode_key(out);
    }
}

impl Key for Timestamp {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        i64::decode_key(bytes).map(Self::from_millis)
    }
}

impl<A, B, X: KeyLike<A>, Y: KeyLike<B>> KeyLike<(A, B)> for (X, Y) {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
        self.1.encode_key(out);
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        Ok((A::decode_key(bytes)?, B::decode_key(bytes)?))
    }
}

impl<A, B, C, X: KeyLike<A>, Y: KeyLike<B>, Z: KeyLike<C>> KeyLike<(A, B, C)> for (X, Y, Z) {
    fn encode_key(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
        self.1.encode_key(out);
        self.2.encode_key(out);
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn decode_key(bytes: &mut &[u8]) -> Result<Self> {
        Ok((A::decode_key(bytes)?, B::decode_key(bytes)?, C::decode_key(bytes)?))
    }
}

impl<K> Prefix<K> for () {
    fn encode_prefix(&self, _: &mut Vec<u8>) {}
}

impl Prefix<String> for StartsWith<'_> {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        encode_open_text(self.0, out);
    }
}

impl<A, X: KeyLike<A>> Prefix<(A, String)> for (X, StartsWith<'_>) {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
        encode_open_text(self.1.0, out);
    }
}

impl<A, B, X: KeyLike<A>> Prefix<(A, B)> for (X,) {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
    }
}

impl<A, B, C, X: KeyLike<A>> Prefix<(A, B, C)> for (X,) {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
    }
}

impl<A, B, C, X: KeyLike<A>, Y: KeyLike<B>> Prefix<(A, B, C)> for (X, Y) {
    fn encode_prefix(&self, out: &mut Vec<u8>) {
        self.0.encode_key(out);
        self.1.encode_key(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded<K: Key>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode_key(&mut out);
        out
    }

    proptest! {
        #[test]
        fn bytes_sort_as_values(
            a in ("[\0a\u{1}\u{ff}]{0,4}", any::<i64>(), any::<u64>()),
            b in ("[\0a\u{1}\u{ff}]{0,4}", any::<i64>(), any::<u64>()),
        ) {
            prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
        }

        #[test]
        fn keys_survive_a_round_trip(key in ("\\PC{0,8}\0?", any::<i64>(), any::<u64>())) {
            prop_assert_eq!(decode_whole::<(String, i64, u64)>(&encoded(&key)).unwrap(), key);
        }

        #[test]
        fn damaged_keys_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(key) = decode_whole::<(String, u64)>(&bytes) {
                prop_assert_eq!(encoded(&key), bytes);
            }
        }
    }

    #[test]
    fn base_types_are_keys() {
        let arn: Arn = "arn:aws:sqs:ap-northeast-2:123456789012:orders".parse().unwrap();
        assert_eq!(decode_whole::<Arn>(&encoded(&arn)).unwrap(), arn);
        let account: AccountId = "123456789012".parse().unwrap();
        assert_eq!(decode_whole::<AccountId>(&encoded(&account)).unwrap(), account);
        let id = ResourceId::parse("vpc", "vpc-0123456789abcdef0").unwrap();
        let key = (id, true, Timestamp::from_millis(-5));
        assert_eq!(decode_whole::<(ResourceId, bool, Timestamp)>(&encoded(&key)).unwrap(), key);
        assert!(decode_whole::<AccountId>(&encoded(&"12".to_owned())).is_err());
    }
}
