//! Answers the evaluator from the stack as it is.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::Operator;
use crate::template::{Resolver, TemplateError};

/// The stack's resources and the region's exports.
pub(super) struct Live<'a> {
    pub(super) operator: &'a Operator,
    /// The exports that were asked for.
    pub(super) imported: &'a Mutex<BTreeSet<String>>,
}

impl Resolver for Live<'_> {
    fn reference(&self, resource: &str) -> Result<Value, TemplateError> {
        let row = self.operator.row(resource);
        row.and_then(|row| row.current.physical_id)
            .map(Value::from)
            .ok_or_else(|| missing(resource))
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Value, TemplateError> {
        let row = self.operator.row(resource).ok_or_else(|| missing(resource))?;
        row.current.attributes.get(attribute).cloned().ok_or_else(|| {
            TemplateError::Function(format!(
                "resource {resource} has no attribute {attribute} at the moment"
            ))
        })
    }

    fn import(&self, name: &str) -> Result<Value, TemplateError> {
        let value = self.operator.exports.get(name);
        let value = value.ok_or_else(|| TemplateError::NoExport(name.to_owned()))?;
        self.imported.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(value.clone().into())
    }

    fn zones(&self, region: &str) -> Vec<String> {
        base::Region::new(region).zones().iter().map(ToString::to_string).collect()
    }
}

fn missing(resource: &str) -> TemplateError {
    TemplateError::Function(format!("resource {resource} does not exist"))
}
