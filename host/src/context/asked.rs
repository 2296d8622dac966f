//! What people did lately, as a source of an assembly.

use std::sync::Arc;

use serde_json::Value;

use super::assembly::{Ask, Source, SourceError};
use super::recent::Recent;
use super::sessions::View;

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
            Ask::ActivitySince { .. }
            | Ask::Live { .. }
            | Ask::Turns { .. }
            | Ask::Knowledge { .. } => Ok(Value::Null),
        }
    }
}
