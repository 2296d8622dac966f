//! One question of a person: what is to become of it.

use std::time::Duration;

use crate::clock::Clock;
use crate::context::assembly::Watermark;
use crate::context::{Query, Recent, about_person};
use crate::engine::Handle;
use crate::ids::SessionKey;
use crate::llm::{Drafted, LlmError, Replies, ReplyError, Scope};
use crate::replies::answer::{HandOver, NotReplied, Replied, ReplyText, ReplyWish, Response};
use crate::replies::question::Question;
use crate::replies::words;
use crate::rules::Reply as Rules;

/// Who is asked.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) engine: Handle,
    pub(super) replies: Replies,
    pub(super) recent: Recent,
    pub(super) clock: Clock,
}

/// How seeing to a session ended.
pub(super) enum Seen {
    /// Nothing waits in it any more, or not for this host.
    Nothing,
    /// One question was seen to; there may be more.
    Done,
    /// It is to be tried again, not before so long.
    Later(Option<Duration>),
}

/// What can be said of a question at this moment.
enum Found {
    Response(Response),
    Nothing(Option<Duration>),
}

/// Who asks, and where.
struct About<'a> {
    key: &'a SessionKey,
    user: Option<&'a str>,
    /// What was answered in the conversation before.
    answered: Watermark,
}

impl Parts {
    /// Sees to the oldest question of a session.
    pub(super) async fn see_to(&self, key: &SessionKey) -> Seen {
        let unanswered = match self.engine.questions(key).await {
            Ok(unanswered) => unanswered,
            Err(error) => {
                tracing::warn!("replies: what waits for an answer can't be read: {error}");
                return Seen::Later(None);
            }
        };
        let rules = self.engine.settings().replies(&key.product).cloned();
        let (Some(rules), Some(question)) = (rules, unanswered.questions.into_iter().next()) else {
            return Seen::Nothing;
        };
        let about = About {
            key,
            user: unanswered.user_id.as_deref(),
            answered: Watermark::at(unanswered.answered_at),
        };
        let what = match self.find(about, &question, &rules).await {
            Found::Response(what) => what,
            Found::Nothing(pause) => return Seen::Later(pause),
        };
        let wish = ReplyWish { key: key.clone(), message_id: question.id, what };
        match self.engine.reply(wish).await {
            Ok(Ok(Replied::Sending(_) | Replied::Noted(_))) => Seen::Done,
            Ok(Err(
                NotReplied::Off
                | NotReplied::Gone
                | NotReplied::UnderWay
                | NotReplied::Moved
                | NotReplied::Closed
                | NotReplied::AgentWrote
                | NotReplied::Late
                | NotReplied::NoMessenger,
            )) => Seen::Done,
            // The store is away: it waits on in the rows.
            Err(_) => Seen::Later(None),
        }
    }

    async fn find(&self, about: About<'_>, question: &Question, rules: &Rules) -> Found {
        let About { key, user, answered } = about;
        let hand_over = |why, draft| Found::Response(Response::HandOver { why, draft });
        if words::has_any(&question.text, &rules.hand_over) {
            return hand_over(HandOver::Wished, None);
        }
        let left = (question.at + rules.expires).since(self.clock.now());
        if left.is_zero() {
            return hand_over(HandOver::Unanswered, None);
        }
        if !self.recent.is_ready() {
            return Found::Nothing(None);
        }
        let query = Query { text: &question.text, answered };
        let about = about_person(&self.recent, key, user, query).await;
        let context = about.context();
        // As of `GET /reply`: the model isn't asked about whom nothing is known of.
        if context.trim().is_empty() {
            return hand_over(HandOver::Unknown, None);
        }
        let asked = self.replies.draft(user.unwrap_or("unknown"), &context, &question.text);
        let error = match tokio::time::timeout(left, asked).await {
            Ok(Ok(Drafted { text, sure })) => {
                return match (ReplyText::new(&text), sure) {
                    (Ok(text), true) => Found::Response(Response::Text(text)),
                    (draft, _) => hand_over(HandOver::Unsure, draft.ok()),
                };
            }
            Ok(Err(error)) => error,
            Err(_) => ReplyError::Llm(LlmError::TimedOut { after: left }),
        };
        self.engine.counters().reply_questions_failed.add(1);
        match error {
            ReplyError::Busy => Found::Nothing(None),
            ReplyError::Llm(error) => match error.scope() {
                Scope::Service => Found::Nothing(error.retry_after()),
                // It would be the same again.
                Scope::Question => hand_over(HandOver::Unanswered, None),
            },
        }
    }
}
