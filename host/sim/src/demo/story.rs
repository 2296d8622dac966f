//! What happens in the demo: three people, what they do, and when they ask for help.

use std::time::Duration;

/// The product that the demo's people use.
pub(super) const PRODUCT: &str = "demo";

/// How long the story takes when it is told at its own pace.
pub(super) const LENGTH: Duration = Duration::from_secs(22);

/// Somebody who uses the product.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) session: &'static str,
    pub(super) user_id: &'static str,
    pub(super) email: &'static str,
}

/// Everybody; a [`Moment`] names one by place.
pub(super) const PEOPLE: [Person; 3] = [
    Person {
        name: "Maya",
        session: "ps_maya_7f31",
        user_id: "user-maya",
        email: "maya@northwind.example",
    },
    Person {
        name: "Tomas",
        session: "ps_tomas_2c9a",
        user_id: "user-tomas",
        email: "tomas@contoso.example",
    },
    Person {
        name: "Ines",
        session: "ps_ines_b04e",
        user_id: "user-ines",
        email: "ines@fabrikam.example",
    },
];

/// Something that happens at a time of the story.
pub(super) struct Moment {
    /// From the beginning.
    pub(super) at: Duration,
    /// Who; a place in [`PEOPLE`].
    pub(super) who: usize,
    /// What.
    pub(super) deed: Deed,
}

/// What happens.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// An action in the product: kind, page, words.
    Acts(&'static str, &'static str, &'static str),
    /// A conversation with support begins.
    Asks(&'static str),
    /// The platform refuses the next note of the person's conversation with 429.
    IsLimited,
}

use Deed::{Acts, Asks, IsLimited};

const MAYA: usize = 0;
const TOMAS: usize = 1;
const INES: usize = 2;

/// Milliseconds, who, what; in the order of time.
#[rustfmt::skip]
const SCRIPT: [(u64, usize, Deed); 31] = [
    (   300, MAYA,  Acts("page_view", "/billing/invoices", "Opened Billing > Invoices")),
    ( 1_300, MAYA,  Acts("filter", "/billing/invoices", "Filtered the invoices by October")),
    ( 1_900, TOMAS, Acts("page_view", "/settings/plan", "Opened Settings > Plan")),
    ( 2_500, MAYA,  Acts("click", "/billing/invoices", "Clicked \"Export as CSV\"")),
    ( 3_300, MAYA,  Acts("error", "/billing/invoices", "Saw the error \"Export failed (E504)\"")),
    ( 3_700, TOMAS, Acts("input", "/settings/plan", "Chose the Team plan with 25 seats")),
    ( 4_300, MAYA,  Acts("click", "/billing/invoices", "Clicked \"Export as CSV\" again")),
    ( 4_900, MAYA,  Acts("error", "/billing/invoices", "Saw the error \"Export failed (E504)\"")),
    ( 5_300, TOMAS, Acts("input", "/checkout", "Entered the coupon SPRING25")),
    ( 5_800, MAYA,  Asks("My invoice export keeps failing.")),
    ( 6_400, TOMAS, Acts("error", "/checkout", "Saw \"This coupon has expired\"")),
    ( 7_400, INES,  Acts("page_view", "/settings/security/sso", "Opened Security > Single sign-on")),
    ( 7_900, MAYA,  Acts("page_view", "/help/large-exports", "Read the article \"Exporting large reports\"")),
    ( 8_500, TOMAS, Asks("Is my coupon really expired?")),
    ( 9_000, INES,  Acts("input", "/settings/security/sso", "Pasted the identity provider's metadata URL")),
    ( 9_700, MAYA,  Acts("filter", "/billing/invoices", "Narrowed the dates to 1-15 October")),
    (10_400, INES,  Acts("click", "/settings/security/sso", "Clicked \"Test connection\"")),
    (11_000, INES,  Acts("error", "/settings/security/sso", "Saw the error \"Audience does not match\"")),
    (11_300, TOMAS, IsLimited),
    (11_400, TOMAS, Acts("click", "/checkout", "Removed the coupon")),
    (11_600, TOMAS, Acts("page_view", "/pricing", "Went back to the price list")),
    (12_600, MAYA,  Acts("click", "/billing/invoices", "Clicked \"Export as CSV\"; the download began")),
    (13_600, INES,  Asks("Single sign-on says that the audience doesn't match.")),
    (14_900, TOMAS, Acts("click", "/checkout", "Paid for 25 seats without the coupon")),
    (15_900, INES,  Acts("page_view", "/help/sso/audience", "Read the article \"Which audience to use\"")),
    (16_900, MAYA,  Acts("page_view", "/billing/invoices", "Opened the invoices of September")),
    (17_600, INES,  Acts("input", "/settings/security/sso", "Changed the entity ID")),
    (18_400, INES,  Acts("click", "/settings/security/sso", "Clicked \"Test connection\"; it succeeded")),
    (19_300, TOMAS, Acts("page_view", "/settings/members", "Opened Settings > Members")),
    (20_400, INES,  Acts("click", "/settings/security/sso", "Turned single sign-on on for everyone")),
    (21_300, TOMAS, Acts("click", "/settings/members", "Invited 12 colleagues")),
];

/// The story, told within `length`.
pub(super) fn within(length: Duration) -> Vec<Moment> {
    let pace = length.as_secs_f64() / LENGTH.as_secs_f64();
    SCRIPT
        .iter()
        .map(|&(ms, who, deed)| Moment { at: Duration::from_millis(ms).mul_f64(pace), who, deed })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_acts_before_and_after_asking_once() {
        let story = within(LENGTH);
        for (who, person) in PEOPLE.iter().enumerate() {
            let deeds = || story.iter().filter(|moment| moment.who == who);
            let asks: Vec<_> = deeds().filter(|moment| matches!(moment.deed, Asks(_))).collect();
            assert_eq!(asks.len(), 1, "{}", person.name);
            let acts = |after: bool| {
                deeds().any(|moment| {
                    matches!(moment.deed, Acts(..)) && (moment.at > asks[0].at) == after
                })
            };
            assert!(acts(false) && acts(true), "{}", person.name);
        }
    }

    #[test]
    fn time_only_goes_forward_and_the_story_keeps_to_its_length() {
        for length in [LENGTH, Duration::from_secs(3)] {
            let story = within(length);
            assert!(story.windows(2).all(|pair| pair[0].at <= pair[1].at));
            assert!(story.last().unwrap().at < length);
        }
    }

    #[test]
    fn a_limit_is_followed_by_an_action_of_the_same_linked_person() {
        let story = within(LENGTH);
        let limit = story.iter().position(|moment| matches!(moment.deed, IsLimited)).unwrap();
        let who = story[limit].who;
        let asked =
            story[..limit].iter().any(|moment| moment.who == who && matches!(moment.deed, Asks(_)));
        let acts = story[limit..]
            .iter()
            .any(|moment| moment.who == who && matches!(moment.deed, Acts(..)));
        assert!(asked && acts);
    }
}
