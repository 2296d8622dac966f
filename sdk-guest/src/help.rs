//! The types of [`Trigger`](crate::Trigger) and [`Messenger`](crate::Messenger): help that is offered
//! without being asked.

pub use crate::bindings::host::sidenote::plugin::types::{Offer, QuickReply};
pub use crate::bindings::trigger::exports::sidenote::plugin::trigger::Context as TriggerContext;

impl Offer {
    /// An offer without quick replies.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), quick_replies: Vec::new(), extras: Vec::new() }
    }

    /// Adds a quick reply: what comes back when it is clicked, and what the person reads.
    ///
    /// ```
    /// use sidenote_plugin::help::Offer;
    /// let offer = Offer::new("Trouble with the payment?").quick_reply("yes", "Yes, please");
    /// assert_eq!(offer.quick_replies[0].label, "Yes, please");
    /// ```
    pub fn quick_reply(mut self, id: impl Into<String>, label: impl Into<String>) -> Self {
        self.quick_replies.push(QuickReply { id: id.into(), label: label.into() });
        self
    }
}
