//! Certificates that services serve TLS with. The service that keeps a certificate writes it here
//! in the transaction that issues, renews or deletes it; one that serves it reads it from here and
//! notes that it does, so that a certificate in use is not deleted.
//!
//! AWS: "Services integrated with AWS Certificate Manager".

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table, WriteTx};

use crate::cipher::{CannotOpen, Cipher};

/// A certificate that can be named for a listener, a distribution or a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN; a renewal keeps it.
    pub arn: String,
    /// What serves it; nothing while it is not issued.
    pub material: Option<Material>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// The certificate and those it chains to, as PEM.
    pub chain: String,
    /// The private key (PEM), sealed, in base64.
    pub sealed_key: String,
    /// The names that it is made for.
    pub names: Vec<String>,
    /// The kind of its key as ACM names it, as `RSA_2048`.
    pub algorithm: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// That a resource serves a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The certificate's ARN.
    pub certificate: String,
    /// What names it, as a listener's ARN.
    pub holder: String,
    /// The resource that ACM shows as its user, as a load balancer's ARN.
    pub user: String,
}

impl Record for Certificate {
    type Key = String;

    fn key(&self) -> String {
        self.arn.clone()
    }
}

impl Record for Use {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.certificate.clone(), self.holder.clone())
    }
}

/// The table of certificates; it wakes tasks as [`TABLE`].
pub const CERTIFICATES: Table<Certificate> = Table::new(TABLE);
/// The table's name.
pub const TABLE: &str = "kernel.certificates";
/// Who serves which certificate.
pub const USES: Table<Use> = Table::new("kernel.certificate_uses");

fn place(arn: &str) -> String {
    format!("certificate:{arn}")
}

/// A private key, sealed for the certificate `arn`.
pub fn seal(cipher: &Cipher, arn: &str, key: &str) -> String {
    STANDARD.encode(cipher.seal(&place(arn), key.as_bytes()))
}

impl Material {
    /// The private key of the certificate `arn`, as PEM.
    ///
    /// # Errors
    ///
    /// [`CannotOpen`] when it was not sealed for this certificate.
    pub fn key(&self, cipher: &Cipher, arn: &str) -> Result<String, CannotOpen> {
        let sealed = STANDARD.decode(&self.sealed_key).map_err(|_| CannotOpen)?;
        String::from_utf8(cipher.open(&place(arn), &sealed)?).map_err(|_| CannotOpen)
    }

    /// The length of the key in bits, by the name of its kind.
    pub fn key_bits(&self) -> u32 {
        let digits: String = self.algorithm.chars().filter(char::is_ascii_digit).collect();
        match self.algorithm.as_str() {
            "EC_prime256v1" => 256,
            "EC_secp384r1" => 384,
            "EC_secp521r1" => 521,
            _ => digits.parse().unwrap_or(0),
        }
    }
}

/// Notes that `holder` serves a certificate on behalf of `user`.
///
/// # Errors
///
/// When the store cannot be written.
pub fn hold(
    tx: &mut WriteTx<'_>,
    certificate: &str,
    holder: &str,
    user: &str,
) -> Result<(), store::Error> {
    let (certificate, holder) = (certificate.to_owned(), holder.to_owned());
    tx.put(&USES, &Use { certificate, holder, user: user.to_owned() })
}

/// Notes that `holder` serves a certificate no more.
///
/// # Errors
///
/// When the store cannot be written.
pub fn release(tx: &mut WriteTx<'_>, certificate: &str, holder: &str) -> Result<(), store::Error> {
    tx.delete(&USES, (certificate.to_owned(), holder.to_owned())).map(|_| ())
}

/// The resources that use a certificate, each once.
///
/// # Errors
///
/// When the store cannot be read.
pub fn users(tx: &ReadTx<'_>, certificate: &str) -> Result<Vec<String>, store::Error> {
    let uses = tx.scan(&USES, (certificate.to_owned(),))?;
    let mut users: Vec<String> = uses.into_iter().map(|it| it.user).collect();
    users.sort();
    users.dedup();
    Ok(users)
}
