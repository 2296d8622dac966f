//! A command on its way to the partition that it belongs to, and the answer on its way back: as bytes. A byte says which form
//! it is; MessagePack with the names of fields follows, so that a later release can add some.

use serde::{Deserialize, Serialize};

use super::audit::Deed;
use super::command::{Answer, Command};
use super::place::Place;

/// The first byte of what this release writes.
const FORM: u8 = 1;

/// Bytes of one message at most. What a person sends in a request is far below; a page of a source is parted before.
pub const MOST_BYTES: usize = 8 << 20;

/// A command, and what goes with it.
#[derive(Serialize, Deserialize)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// What a person does by it, to be put on record with what comes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deed: Option<Deed>,
    /// Who waits for the answer; `None`: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyTo>,
}

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReplyTo {
    /// Which start of which host, as its name is written.
    pub host: String,
    /// By which number it knows the request.
    pub number: u64,
}

/// Why a command isn't sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It is of the host that runs the engine.
    #[error("hosts: this command is never sent to another partition")]
    Here,
    /// It is too large.
    #[error("hosts: the command has {0} bytes; {MOST_BYTES} are the limit")]
    TooLarge(usize),
}

/// What can't be read: a later release wrote it, or it is damaged. What is in it isn't told: it is customers' data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hosts: a message can't be read by this release; a host of a later one is needed for it")]
pub struct Unreadable;

impl Request {
    /// As it is sent.
    ///
    /// # Errors
    /// It isn't sent.
    pub fn encode(&self) -> Result<Vec<u8>, NotSent> {
        if self.command.place() == Place::Here {
            return Err(NotSent::Here);
        }
        let bytes = written(self);
        if bytes.len() > MOST_BYTES { Err(NotSent::TooLarge(bytes.len())) } else { Ok(bytes) }
    }

    /// What was sent.
    ///
    /// # Errors
    /// This release can't read it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        as_read(bytes)
    }
}

impl Answer {
    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        written(self)
    }

    /// What was sent.
    ///
    /// # Errors
    /// This release can't read it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        as_read(bytes)
    }
}

fn written(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![FORM];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    value.serialize(&mut serializer).expect("it is made of text, numbers and lists of them");
    bytes
}

fn as_read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&FORM, packed)) => rmp_serde::from_slice(packed).map_err(|_| Unreadable),
        Some(_) | None => Err(Unreadable),
    }
}

#[cfg(test)]
pub(super) mod tests;
