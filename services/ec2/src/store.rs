//! The service's tables lie with their families: `vpc::store`, `instance::store`, `image::store`
//! and the others.
