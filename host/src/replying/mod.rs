//! Answers what people write, behind the commit: it asks a model with what the person did lately, and has the engine
//! send the answer, or note for people why none is sent. What waits is in the engine's rows, so a restart goes on from
//! there; what may be sent is decided there again.
//!
//! | file | what |
//! |---|---|
//! | `service` | the stage: which sessions wait, how many are seen to at once, when one is seen to again |
//! | `answer` | one question: a hand-over word, the model's answer, its failure |

mod answer;
mod service;

pub use service::Replying;
