//! Offers of help.

use super::wit;
use crate::plugin::clean::clean;
use crate::plugin::help::{Offer, QuickReply};
use crate::visible::steers;

const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_QUICK_REPLIES: usize = 16;
const MAX_LABEL_BYTES: usize = 256;

/// `quick_replies` are those of the offer.
pub(in crate::plugin) fn offer<'a>(
    offer: &'a Offer,
    quick_replies: &'a [wit::QuickReplyParam<'a>],
) -> wit::OfferParam<'a> {
    wit::OfferParam { text: &offer.text, quick_replies, extras: &[] }
}

pub(in crate::plugin) fn quick_replies(replies: &[QuickReply]) -> Vec<wit::QuickReplyParam<'_>> {
    replies.iter().map(|QuickReply { id, label }| wit::QuickReplyParam { id, label }).collect()
}

/// An offer that a guest makes, bounded; the error says why it is none.
pub(in crate::plugin) fn given_offer(offer: wit::OfferResult) -> Result<Offer, &'static str> {
    // How an emoji is drawn is no harm in what a person reads.
    let shown = |c: &char| matches!(c, '\n' | '\t' | '\u{fe0e}' | '\u{fe0f}') || !steers(*c);
    let mut text: String = offer.text.chars().filter(shown).collect();
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    if text.trim().is_empty() {
        return Err("the text of its offer is empty");
    }
    let replies = offer.quick_replies.into_iter().take(MAX_QUICK_REPLIES).map(quick_reply);
    Ok(Offer { text, quick_replies: replies.collect::<Result<_, _>>()? })
}

fn quick_reply(reply: wit::QuickReplyResult) -> Result<QuickReply, &'static str> {
    // An id that was cut would be another's.
    if reply.id.is_empty() || reply.id.len() > MAX_LABEL_BYTES || reply.id.chars().any(steers) {
        return Err(
            "the id of a quick reply is empty, longer than 256 bytes or holds control characters",
        );
    }
    let label = clean(&reply.label, MAX_LABEL_BYTES);
    if label.trim().is_empty() {
        return Err("the label of a quick reply is empty");
    }
    Ok(QuickReply { id: reply.id, label })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str, replies: &[(&str, &str)]) -> Result<Offer, &'static str> {
        let reply = |(id, label): &(&str, &str)| wit::QuickReplyResult {
            id: (*id).to_owned(),
            label: (*label).to_owned(),
        };
        given_offer(wit::OfferResult {
            text: text.to_owned(),
            quick_replies: replies.iter().map(reply).collect(),
            extras: Vec::new(),
        })
    }

    #[test]
    fn an_offer_is_cleaned_and_bounded() {
        let many = vec![("id", "L\u{1b}[31m\n2"); 100];
        let offer = given(&format!("a\u{202e}\n{}", "é".repeat(20_000)), &many).unwrap();
        assert!(offer.text.starts_with("a\né") && offer.text.len() <= MAX_TEXT_BYTES);
        assert_eq!(offer.quick_replies.len(), MAX_QUICK_REPLIES);
        assert_eq!(offer.quick_replies[0].label, "L[31m 2");
    }

    #[test]
    fn an_offer_that_says_nothing_is_none() {
        assert!(given(" \n\u{200b}", &[]).is_err());
        assert!(given("help?", &[("yes", " ")]).is_err());
        assert!(given("help?", &[("", "Yes")]).is_err());
        assert!(given("help?", &[(&"x".repeat(257), "Yes")]).is_err());
        assert!(given("help?", &[("yes", "Yes")]).is_ok());
    }
}
