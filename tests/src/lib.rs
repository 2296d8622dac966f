//! Shared parts of the tests.
//!
//! [`world`] is the real engine with time that a test owns. A [`Rig`] is a whole host on real sockets,
//! between a connector and a chat platform; people act in it, and patience has a deadline. [`vendor`] has the
//! platforms that people use, each as strict as its vendor's documentation.

mod acting;
mod asking;
mod binary;
pub mod collector;
pub mod comparison;
mod components;
mod configuration;
mod docker_registry;
mod files;
pub mod growth;
pub mod idle;
pub mod llm;
pub mod messages;
mod npm;
pub mod partition;
mod patience;
mod ports;
mod process;
mod pypi;
mod redis_cluster;
mod redis_server;
mod rig;
pub mod sinks;
pub mod steady;
mod store_kind;
pub mod summing;
pub mod telling;
pub mod throughput;
pub mod trial;
pub mod vendor;
pub mod vitals;
pub mod warehouse;
pub mod world;

pub use acting::Person;
pub use binary::binary;
pub use components::{compiled, components, test_guests};
pub use docker_registry::{DockerRegistry, Guard};
pub use files::files_with;
pub use npm::npm_package;
pub use partition::fresh_store;
pub use patience::{DEADLINE, counts, eventually};
pub use ports::free_address;
pub use process::{Feed, Log};
pub use pypi::pypi_package;
pub use redis_cluster::RedisCluster;
pub use redis_server::RedisServer;
pub use rig::{Rig, Setup};
pub use store_kind::{StoreArgs, StoreKind};
