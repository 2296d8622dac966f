//! How the commands speak, the operator's and the authors' alike: [`output`] is data and words, [`failure`] why a
//! command failed and in which parts that is told, [`exit`] the rule of exit codes and questions,
//! [`RegistryArgs`] how they reach a registry.

pub mod exit;
pub mod failure;
pub mod output;
mod registry;

pub use failure::{Failure, Unusable, about};
pub use registry::{RegistryArgs, reference};
