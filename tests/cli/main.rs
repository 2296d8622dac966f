//! The command line as people meet it: the real binary, its output to the letter, its exit codes.

mod architecture;
mod bindings;
mod call;
mod check;
mod connector;
mod crates;
mod docs;
mod doctor;
mod doctor_reach;
mod generate;
mod help;
mod offers;
mod outbox;
mod plugin;
mod plugin_add;
mod plugin_asks;
mod plugin_new;
mod proxies;
mod sidenote;
mod sinks;
mod smoke_test;
mod stream;
mod suite;
mod told;
mod watch;
