//! What the planner and the engine ask about resource types.

use kernel::Kernel;
use kernel::resource::Update;

use crate::template::diff::{Recreation, Schemas};

/// The region's resource types.
pub(crate) struct Types<'a>(pub(crate) &'a Kernel);

impl Schemas for Types<'_> {
    fn recreation(&self, kind: &str, property: &str) -> Recreation {
        let properties = self.0.resource_type(kind).map(|t| t.properties).unwrap_or_default();
        match properties.iter().find(|known| known.name == property).map(|known| known.update) {
            Some(Update::Replacement) => Recreation::Always,
            Some(Update::NoInterruption | Update::SomeInterruption) | None => Recreation::Never,
        }
    }

    fn taggable(&self, kind: &str) -> bool {
        taggable(self.0, kind)
    }
}

/// Whether resources of `kind` carry the stack's tags: those that can have tags do.
pub(crate) fn taggable(kernel: &Kernel, kind: &str) -> bool {
    let properties = kernel.resource_type(kind).map(|t| t.properties).unwrap_or_default();
    properties.iter().any(|property| property.name == "Tags")
}
