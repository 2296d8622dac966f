//! Components in OCI registries: asked for within bounds, and believed by their digests alone.
//!
//! | module | owns |
//! |---|---|
//! | `client` | requests to one registry: where they go, how many redirects, how much is read |
//! | `challenge` | what a registry asks for who we are, and the token that it wants |
//! | `layout` | the manifest of a component, as CNCF's wasm layout has it, and the signature in it |
//! | `pull` | a manifest and its component, checked |
//! | `error` | why not, with the next step |
//!
//! Pushing is for authors, who have it in a crate of their own; they send by the same client.

mod challenge;
mod client;
mod error;
pub mod layout;
mod pull;

#[cfg(test)]
mod tests;

pub use client::{Answer, Client, Scope};
pub use error::RegistryError;
pub use pull::Pulled;
