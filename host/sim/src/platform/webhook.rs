//! Signed webhooks to the host, repeated until it takes them.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::options::Opening;
use super::receiver::Receiver;
use crate::post::{Answer, PostError, post_json};
use crate::signature::{DELIVERY, SIGNATURE, TIMESTAMP, sign};

/// Why a webhook wasn't accepted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No address was set.
    #[error("sim platform: no webhook address is set; call `deliver_webhooks_to` first")]
    NoAddress,
    /// There are too many conversations.
    #[error("sim platform: no further conversation fits; raise `max_conversations`")]
    Full,
    /// There is no such conversation.
    #[error("sim platform: there is no such conversation")]
    UnknownConversation,
    /// The host refused it for good.
    #[error("sim platform: the host refused the webhook with {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// The host answered 5xx or 429 to every attempt.
    #[error("sim platform: the host answered {status} to the last of {attempts} attempts")]
    GivenUp {
        /// The last status.
        status: u16,
        /// How many attempts were made.
        attempts: u32,
    },
    /// The host couldn't be reached at the last attempt.
    #[error("sim platform: the host couldn't be reached")]
    Unreachable(#[from] PostError),
}

/// What is posted.
#[derive(Serialize)]
struct Body<'a> {
    event: &'static str,
    conversation_id: &'a str,
    product_id: &'a str,
    session_id: Option<&'a str>,
    user_id: Option<&'a str>,
    email: Option<&'a str>,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    happened: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_id: Option<&'a str>,
}

/// What a webhook tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    Opened,
    Replied,
    /// The person clicked an answer.
    Clicked(&'a str),
    /// A human agent of support wrote.
    AgentWrote,
    /// The person is writing.
    Types,
    /// The conversation was closed.
    Closed,
}

pub(super) async fn deliver(
    receiver: &Receiver,
    url: &str,
    event: Event<'_>,
    conversation: &str,
    opening: &Opening,
    text: Option<&str>,
) -> Result<(), WebhookError> {
    let body = Body {
        event: match event {
            Event::Opened => "opened",
            Event::Replied
            | Event::Clicked(_)
            | Event::AgentWrote
            | Event::Types
            | Event::Closed => "replied",
        },
        conversation_id: conversation,
        product_id: &opening.product,
        session_id: opening.session.as_deref(),
        user_id: opening.user_id.as_deref(),
        email: opening.email.as_deref(),
        text,
        author: match event {
            Event::AgentWrote | Event::Closed => Some("agent"),
            Event::Opened | Event::Replied | Event::Clicked(_) | Event::Types => None,
        },
        happened: match event {
            Event::Types => Some("typing"),
            Event::Closed => Some("closed"),
            Event::Opened | Event::Replied | Event::Clicked(_) | Event::AgentWrote => None,
        },
        option_id: match event {
            Event::Clicked(option) => Some(option),
            Event::Opened | Event::Replied | Event::AgentWrote | Event::Types | Event::Closed => {
                None
            }
        },
    };
    let body = Bytes::from(serde_json::to_vec(&body).expect("a plain struct serialises"));
    let delivered =
        repeat(receiver, url, body, &format!("{conversation}-{}", receiver.clock.now().0)).await;
    let mut desk = receiver.desk();
    match delivered {
        Ok(()) => desk.stats.webhooks_accepted += 1,
        Err(_) => desk.stats.webhooks_given_up += 1,
    }
    delivered
}

async fn repeat(
    receiver: &Receiver,
    url: &str,
    body: Bytes,
    delivery: &str,
) -> Result<(), WebhookError> {
    let attempts = receiver.options.webhook_attempts.max(1);
    let mut pause = receiver.options.webhook_retry;
    for attempt in 1..=attempts {
        receiver.desk().stats.webhook_attempts += 1;
        let timestamp = (receiver.clock.now().as_millis() / 1000).to_string();
        let signature = sign(&receiver.options.webhook_secret, &timestamp, &body);
        let headers = [(TIMESTAMP, &*timestamp), (SIGNATURE, &*signature), (DELIVERY, delivery)];
        let answer = post_json(url, &headers, body.clone()).await;
        match answer {
            Ok(answer) if answer.is_success() => return Ok(()),
            Ok(Answer { status, .. }) if status != 429 && status < 500 => {
                return Err(WebhookError::Refused { status });
            }
            Ok(Answer { status, .. }) if attempt == attempts => {
                return Err(WebhookError::GivenUp { status, attempts });
            }
            Err(error) if attempt == attempts => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
    unreachable!("the last attempt returns")
}
