//! End-to-end tests: a real host on real sockets, real components, a connector and a chat platform that
//! judge by themselves what arrives.

mod console;
mod context;
mod crash;
mod demo;
mod erase;
mod identity;
mod kills;
mod languages;
mod limits;
mod llm;
mod mcp;
mod offers;
mod outbox;
mod pipeline;
mod platform_faults;
mod plugin_readmes;
mod plugins;
mod push;
mod readme;
mod redis;
mod reload;
mod replays;
mod replies;
mod restart;
mod sinks;
mod specs;
mod starting;
mod stream_faults;
mod summaries;
mod summarizer;
mod supervision;
mod swap;
mod ten_minutes;
mod told;
mod vendors;
