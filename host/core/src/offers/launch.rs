//! The event that has a browser show a tour.

use serde::{Deserialize, Serialize};

use crate::ids::SessionKey;

/// Has the browser of a session show a tour, in autoplay-sdk's form.
///
/// ```
/// use sidenote_core::ids::{ProductId, SessionId, SessionKey};
/// use sidenote_core::offers::launch::LaunchEvent;
///
/// let session = SessionKey { product: ProductId::new("shop")?, session: SessionId::new("s1")? };
/// let event = LaunchEvent::of(&session, "flow");
/// assert_eq!(
///     event.to_sse(),
///     "data: {\"type\":\"usertour_trigger\",\"product_id\":\"shop\",\"flow_id\":\"flow\",\"session_id\":\"s1\"}\n\n"
/// );
/// # Ok::<(), sidenote_core::ids::InvalidId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "usertour_trigger")]
pub struct LaunchEvent {
    /// The product.
    pub product_id: String,
    /// The tour, as its provider calls it.
    pub flow_id: String,
    /// Why it is shown, where somebody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whose browser it is, where the product wants to check that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The session whose browser it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl LaunchEvent {
    /// Shows the tour in the browser of this session.
    pub fn of(session: &SessionKey, tour: &str) -> Self {
        Self {
            session_id: Some(session.session.as_str().to_owned()),
            ..Self::new(session.product.as_str(), tour)
        }
    }

    /// Shows the tour in a product, in whichever session it is sent to.
    pub fn new(product: &str, tour: &str) -> Self {
        Self {
            product_id: product.to_owned(),
            flow_id: tour.to_owned(),
            reason: None,
            user_id: None,
            session_id: None,
        }
    }

    /// The same with who and why; a blank id is left out.
    #[must_use]
    pub fn with(self, reason: &str, user_id: Option<&str>, session_id: Option<&str>) -> Self {
        let named = |id: Option<&str>| id.filter(|id| !id.trim().is_empty()).map(str::to_owned);
        Self {
            reason: Some(reason.to_owned()),
            user_id: named(user_id),
            session_id: named(session_id),
            ..self
        }
    }

    /// The event as JSON, of one line.
    ///
    /// # Panics
    /// Never: it is made of texts.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }

    /// The event as a stream of server-sent events has it. It has no name of its own there, so that `onmessage` of a
    /// browser hears of it.
    pub fn to_sse(&self) -> String {
        // JSON has no line breaks outside of its texts, and writes those within as `\n`.
        format!("data: {}\n\n", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_whatever_its_names_hold() {
        let event = LaunchEvent::new("p", "a\n\ndata: {}\r\n\u{2028}");
        let sse = event.to_sse();
        assert_eq!(sse.lines().filter(|line| !line.is_empty()).count(), 1);
        assert!(sse.starts_with("data: {") && sse.ends_with("}\n\n"));
    }

    #[test]
    fn who_and_why_are_told_where_they_are_known() {
        let event = LaunchEvent::new("p", "f").with("chip", Some(" "), Some("s"));
        let json = "{\"type\":\"usertour_trigger\",\"product_id\":\"p\",\"flow_id\":\"f\",\"reason\":\"chip\",\"session_id\":\"s\"}";
        assert_eq!(event.to_json(), json);
    }
}
