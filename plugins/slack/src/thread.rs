//! A conversation: a channel and the thread's first message, as `C0123ABCD:1700000000.000100`.

use std::fmt;

use sidenote_plugin::{Failure, Sent};

/// A thread of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thread {
    /// The channel's id.
    pub(crate) channel: String,
    /// The `ts` of the thread's first message.
    pub(crate) ts: String,
}

impl Thread {
    /// Reads a conversation's id.
    pub(crate) fn read(conversation: &str) -> Result<Self, Failure> {
        let parts = conversation.split_once(':');
        let parts = parts.filter(|(channel, ts)| is_channel(channel) && is_ts(ts));
        let (channel, ts) = parts.ok_or_else(|| {
            let message = "a conversation of Slack is CHANNEL:TS, as C0123ABCD:1700000000.000100";
            Failure::invalid("conversation", message).with_sent(Sent::NotSent)
        })?;
        Ok(Self { channel: channel.to_owned(), ts: ts.to_owned() })
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.channel, self.ts)
    }
}

fn is_channel(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_ts(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(seconds, rest)| digits(seconds) && digits(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_a_channel_and_a_time() {
        let id = "C0123ABCD:1700000000.000100";
        assert_eq!(Thread::read(id).unwrap().to_string(), id);
        for wrong in
            ["", ":", "C1", "C1:", ":1.2", "C1:1", "C1:1.", "C 1:1.2", "C1:1.2:3", "C1:a.b"]
        {
            let failure = Thread::read(wrong).unwrap_err();
            assert_eq!((&*failure.code, failure.sent), ("conversation", Sent::NotSent), "{wrong}");
        }
    }
}
