//! The engine's core, driven directly: rows in a map, a clock that the test moves, calls that it answers. Nothing
//! waits in here, and nothing runs beside the test.

mod gate;
mod orders;
mod pipeline;
mod redactions;
mod words;
mod world;
