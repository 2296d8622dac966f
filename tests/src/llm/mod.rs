//! Language models on sockets: each as strict about what it is sent as the provider's documentation, and able to
//! fail in the ways that providers do.

mod server;
mod shape;

pub use server::{Behaviour, LlmServer, Question};
pub use shape::Shape;
