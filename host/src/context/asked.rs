//! What people did lately, as a source of an assembly.

use std::sync::Arc;

use serde_json::Value;

use super::assembly::{
    Ask, Assembler, Assembly, Question, Source, SourceError, Sources, Watermark,
};
use super::recent::Recent;
use super::sessions::View;
use crate::clock::Timestamp;
use crate::ids::SessionKey;

/// What the users of a product did lately, in all of their recent sessions: the `session` of a question is a user's id.
#[derive(Debug, Clone)]
pub struct UserActivity {
    /// What people did lately.
    pub recent: Recent,
    /// In which product.
    pub product: Arc<str>,
    /// What is shown of it.
    pub view: View,
}

#[async_trait::async_trait]
impl Source for UserActivity {
    async fn ask(&self, ask: &Ask) -> Result<Value, SourceError> {
        match ask {
            Ask::Activity { session: user } => {
                Ok(self.recent.activity(&self.product, user, self.view).into())
            }
            Ask::ActivitySince { session: user, cutoff } => {
                let view = self.recent.since(self.view, Timestamp::from_secs_f64(*cutoff));
                Ok(self.recent.activity(&self.product, user, view).into())
            }
            Ask::Live { .. } | Ask::Turns { .. } | Ask::Knowledge { .. } => Ok(Value::Null),
        }
    }
}

/// What the person of one session did lately in it: for a person of whom no more is known.
#[derive(Debug, Clone)]
struct SessionActivity {
    recent: Recent,
    key: SessionKey,
}

#[async_trait::async_trait]
impl Source for SessionActivity {
    async fn ask(&self, ask: &Ask) -> Result<Value, SourceError> {
        match ask {
            Ask::Activity { .. } => {
                Ok(self.recent.session_activity(&self.key, self.recent.view()).into())
            }
            Ask::ActivitySince { cutoff, .. } => {
                let cutoff = Timestamp::from_secs_f64(*cutoff);
                let view = self.recent.since(self.recent.view(), cutoff);
                Ok(self.recent.session_activity(&self.key, view).into())
            }
            Ask::Live { .. } | Ask::Turns { .. } | Ask::Knowledge { .. } => Ok(Value::Null),
        }
    }
}

/// A question, and when it was last answered where it is asked ([`Watermark`]).
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// What is asked.
    pub text: &'a str,
    /// What was answered there before; nothing where that isn't known.
    pub answered: Watermark,
}

/// What is known about a question of a user.
pub async fn about_user(
    recent: &Recent,
    product: &Arc<str>,
    user: &str,
    query: Query<'_>,
) -> Assembly {
    let activity =
        UserActivity { recent: recent.clone(), product: product.clone(), view: recent.view() };
    assemble(activity, product, user, query).await
}

/// What is known about a question that came from a session: as of its user, and where that is nothing or nobody, of the
/// session alone.
pub async fn about_person(
    recent: &Recent,
    key: &SessionKey,
    user: Option<&str>,
    query: Query<'_>,
) -> Assembly {
    let product = key.product.shared();
    if let Some(user) = user.filter(|user| recent.names_somebody(user)) {
        let about = about_user(recent, &product, user, query).await;
        if !about.context().trim().is_empty() {
            return about;
        }
    }
    let activity = SessionActivity { recent: recent.clone(), key: key.clone() };
    assemble(activity, &product, key.session.as_str(), query).await
}

async fn assemble(
    activity: impl Source + 'static,
    product: &Arc<str>,
    session: &str,
    query: Query<'_>,
) -> Assembly {
    let activity: Arc<dyn Source> = Arc::new(activity);
    let since = Some(activity.clone());
    let sources = Sources { activity: Some(activity), since, ..Sources::default() };
    let question = Question {
        product: product.to_string(),
        session: Some(session.to_owned()),
        text: query.text.to_owned(),
        cutoff: query.answered.cutoff().map(Timestamp::as_secs_f64),
        ..Question::default()
    };
    let assembler = Assembler { sources, ..Assembler::default() };
    assembler.assemble(&question).await
}
