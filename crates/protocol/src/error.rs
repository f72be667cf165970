//! Errors as services and this crate raise them, before a protocol gives them its form.

use std::fmt;

use crate::schema::{Protocol, ServiceSchema};
use crate::value::{Fields, Value};

/// An error that is answered to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceError {
    /// The name of its shape, or its code where the model has no shape for it.
    pub code: String,
    /// AWS's text.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Whether the caller is to blame.
    pub sender: bool,
    /// Further members of its shape.
    pub fields: Fields,
    /// What went wrong inside; it is logged with the request's id and never sent out.
    pub cause: Option<String>,
}

impl ServiceError {
    /// An error that the caller caused, with status 400.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 400,
            sender: true,
            fields: Fields::new(),
            cause: None,
        }
    }

    /// A failure of the region itself, with status 500.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let message = "The request processing has failed because of an unknown error, exception \
                       or failure.";
        let error = Self::new("InternalFailure", message).status(500);
        Self { cause: Some(cause.to_string()), ..error }
    }

    /// An error of the model, by the name of its shape, with the status that the model gives it.
    pub fn modelled(service: &ServiceSchema, name: &str, message: impl Into<String>) -> Self {
        let error = Self::new(name, message);
        match service.error(name) {
            Some(known) => Self { status: known.status, sender: known.sender, ..error },
            None => error,
        }
    }

    /// The same error with another status; from 500 on the caller is not to blame.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self.sender = status < 500;
        self
    }

    /// The same error with a further member.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: Value) -> Self {
        self.fields.push(name, value);
        self
    }

    /// The request asks for an operation that the service does not have.
    pub fn unknown_operation(service: &ServiceSchema, protocol: Protocol, name: &str) -> Self {
        match protocol {
            Protocol::Ec2Query | Protocol::AwsQuery => Self::new(
                "InvalidAction",
                format!("The action {name} is not valid for this web service."),
            ),
            Protocol::AwsJson10 | Protocol::AwsJson11 => Self::new("UnknownOperationException", ""),
            Protocol::RestXml if service.name == "s3" => Self::new(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )
            .status(405),
            Protocol::RestJson1 | Protocol::RestXml | Protocol::RpcV2Cbor => {
                Self::new("UnknownOperationException", "").status(404)
            }
        }
    }

    /// The request could not be read.
    pub(crate) fn malformed(protocol: Protocol, malformed: Malformed) -> Self {
        match protocol {
            Protocol::Ec2Query => match malformed {
                Malformed::Unknown(name) => {
                    Self::new("UnknownParameter", format!("The parameter {name} is not recognized"))
                }
                Malformed::At { path, reason } if !path.is_empty() => Self::new(
                    "InvalidParameterValue",
                    format!("Invalid value for parameter {path}: {reason}"),
                ),
                Malformed::At { reason, .. } => Self::new("InvalidRequest", reason),
            },
            Protocol::AwsQuery => Self::new("MalformedInput", malformed.to_string()),
            Protocol::AwsJson10
            | Protocol::AwsJson11
            | Protocol::RestJson1
            | Protocol::RpcV2Cbor => Self::new("SerializationException", malformed.to_string()),
            Protocol::RestXml => Self::new(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our \
                 published schema",
            ),
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ServiceError {}

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A parameter that the operation does not have.
    Unknown(String),
    /// A value that does not fit its shape.
    At {
        /// The members that lead to it, joined by dots.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl Malformed {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self::At { path: String::new(), reason: reason.into() }
    }

    /// The same seen from the structure that has the member.
    pub(crate) fn inside(self, member: &str) -> Self {
        let join = |path: String| {
            if path.is_empty() { member.to_owned() } else { format!("{member}.{path}") }
        };
        match self {
            Self::Unknown(name) => Self::Unknown(join(name)),
            Self::At { path, reason } => Self::At { path: join(path), reason },
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "Unknown parameter {name}"),
            Self::At { path, reason } if path.is_empty() => f.write_str(reason),
            Self::At { path, reason } => write!(f, "{path}: {reason}"),
        }
    }
}
