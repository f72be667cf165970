//! AWS CloudFormation, after the AWS CloudFormation API Reference (2010-05-15).

pub mod template;
