//! `sidenote outbox`: what is shown of a store that the real engine has filled, and what is changed.

mod decide;
mod erase;
mod filled;
mod keys;
mod list;
mod redis;
mod running;
mod show;
