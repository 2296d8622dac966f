//! What serves authors of plugins, and a host runs without: the commands that begin, call, test, watch and pack a
//! plugin, the demo, and the simulators that these and the tests use.
//!
//! | module | owns | knows nothing of |
//! |---|---|---|
//! | [`sim`] | a connector and a chat platform on loopback, and a mock of any platform | the host's inside |
//! | `plugin` | `plugin call`, `new`, `pack`, `test` and `watch` | the operator's commands |
//! | `demo` | `sidenote demo`: both simulators and a host in one process | what a host is made of |

mod demo;
mod plugin;
pub mod sim;

pub use demo::{DemoArgs, demo};
pub use plugin::{PluginCommand, plugin};
