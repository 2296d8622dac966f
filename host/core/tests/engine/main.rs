//! The engine's core, driven directly: rows in a map, a clock that the test moves, calls that it answers. Nothing
//! waits in here, and nothing runs beside the test.

mod attempts;
mod backlog;
mod erase;
mod gate;
mod history;
mod kv;
mod links;
mod memory;
mod offers;
mod old_rows;
mod orders;
mod people;
mod pipeline;
mod random;
mod random_offers;
mod redactions;
mod replies;
mod resends;
mod sealing;
mod sinks;
mod sources;
mod standing;
mod tear_down;
mod timers;
mod unloaded;
mod words;
mod world;
