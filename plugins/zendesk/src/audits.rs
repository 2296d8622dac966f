//! The updates of a ticket, looked through for one of late.

use serde_json::Value;
use sidenote_plugin::{Failure, clock};

use crate::api;
use crate::settings::Settings;

/// What is looked for was sent lately: updates older than this, in seconds, aren't looked at.
const LATELY: u64 = 7 * 86_400;
/// Updates on a page.
const PAGE: u64 = 100;
/// Most pages that are looked at.
const MOST_PAGES: u64 = 20;

/// Which way a list of updates runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    LatestFirst,
    OldestFirst,
    Unknown,
}

/// The first update that is wanted, the latest first. Zendesk is asked for that order and may give another one, which
/// isn't documented for this list: so it is read off the first page, and where that runs the other way, the pages are
/// looked at from the last one on.
pub(crate) fn find(
    settings: &Settings,
    ticket: u64,
    is_wanted: impl Fn(&Value) -> bool,
) -> Result<Option<Value>, Failure> {
    let long_ago = clock::now().saturating_sub(LATELY);
    let mut first = Page::get(settings, ticket, 1)?;
    if let Some(found) = first.take(&is_wanted) {
        return Ok(Some(found));
    }
    let order = order(&first.audits);
    if !first.has_more || (order == Order::LatestFirst && first.is_before(long_ago)) {
        return Ok(None);
    }
    let last =
        first.count.map(|count| count.div_ceil(PAGE)).filter(|_| order == Order::OldestFirst);
    for step in 0..MOST_PAGES - 1 {
        let number = match last {
            Some(last) => last.saturating_sub(step),
            None => step + 2,
        };
        if number < 2 {
            return Ok(None);
        }
        let mut page = Page::get(settings, ticket, number)?;
        if let Some(found) = page.take(&is_wanted) {
            return Ok(Some(found));
        }
        let rest_is_old = order != Order::Unknown && page.is_before(long_ago);
        let is_end = last.is_none() && !page.has_more;
        // Where the last page is the way in, older ones come after it.
        if is_end || (rest_is_old && (last.is_some() || order == Order::LatestFirst)) {
            return Ok(None);
        }
    }
    Err(Failure::transient("audits", "the ticket has too many updates of late to look through"))
}

/// Which way the updates of a page run, by the times that they have.
fn order(audits: &[Value]) -> Order {
    let times: Vec<u64> = audits.iter().filter_map(time).collect();
    let (rises, falls) = times.windows(2).fold((false, false), |(rises, falls), pair| {
        (rises || pair[0] < pair[1], falls || pair[0] > pair[1])
    });
    match (rises, falls) {
        (false, true) => Order::LatestFirst,
        (true, false) => Order::OldestFirst,
        (true, true) | (false, false) => Order::Unknown,
    }
}

fn time(audit: &Value) -> Option<u64> {
    clock::parse(audit["created_at"].as_str()?)
}

struct Page {
    audits: Vec<Value>,
    /// How many updates the ticket has, where that is said.
    count: Option<u64>,
    has_more: bool,
}

impl Page {
    fn get(settings: &Settings, ticket: u64, number: u64) -> Result<Self, Failure> {
        let path = format!(
            "/api/v2/tickets/{ticket}/audits?sort_order=desc&per_page={PAGE}&page={number}"
        );
        let answer = api::get(settings, &path)?;
        let body: Value = answer.json()?;
        Ok(Self {
            audits: answer.list(&["audits"])?,
            count: body["count"].as_u64(),
            has_more: body["next_page"].is_string(),
        })
    }

    fn take(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        self.audits.iter().position(is_wanted).map(|place| self.audits.swap_remove(place))
    }

    /// Whether all of it is older than a moment. What has no time may be of now.
    fn is_before(&self, moment: u64) -> bool {
        self.audits.iter().all(|audit| time(audit).is_some_and(|time| time < moment))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::Host;

    use super::*;

    const NOW: u64 = 1_616_648_967;
    const TODAY: [&str; 3] =
        ["2021-03-25T03:00:00Z", "2021-03-25T02:00:00Z", "2021-03-25T01:00:00Z"];
    const LONG_AGO: [&str; 2] = ["2001-01-01T02:00:00Z", "2001-01-01T01:00:00Z"];

    /// A page of updates of these times, whose ids begin at a number.
    fn page(first: u64, times: &[&str], count: Option<u64>, more: bool) -> String {
        let audits: Vec<_> = (first..)
            .zip(times)
            .map(|(id, time)| json!({ "id": id, "created_at": time }))
            .collect();
        let next = more.then_some("https://x.example/next");
        json!({ "audits": audits, "count": count, "next_page": next }).to_string()
    }

    fn reversed(times: &[&'static str]) -> Vec<&'static str> {
        times.iter().rev().copied().collect()
    }

    /// What is found of the update with this id, and the pages that were asked for.
    fn search(wanted: u64, pages: &[String]) -> (Result<Option<u64>, FailureKind>, Vec<String>) {
        let host = Host::new().config("subdomain", "acme").at(NOW);
        let host = pages.iter().fold(host, |host, page| host.respond(200, page)).install();
        let settings = Settings::load().unwrap();
        let found = find(&settings, 1, |audit| audit["id"] == wanted);
        let asked =
            host.requests().into_iter().map(|it| it.url.rsplit('=').next().unwrap().to_owned());
        let id = |audit: Option<Value>| audit.and_then(|audit| audit["id"].as_u64());
        (found.map(id).map_err(|failure| failure.kind), asked.collect())
    }

    #[test]
    fn the_latest_first_old_updates_end_the_search() {
        let old = page(1, &LONG_AGO, None, true);
        assert_eq!(search(9, &[old]), (Ok(None), vec!["1".to_owned()]));
        let pages = [page(1, &TODAY, None, true), page(11, &LONG_AGO, None, true)];
        let asked = || vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(search(99, &pages), (Ok(None), asked()));
        assert_eq!(search(12, &pages), (Ok(Some(12)), asked()));
    }

    #[test]
    fn the_oldest_first_the_search_goes_to_the_last_page_and_back() {
        let first = page(1, &reversed(&LONG_AGO), Some(450), true);
        let last = page(401, &reversed(&TODAY), Some(450), false);
        let before = page(301, &reversed(&LONG_AGO), Some(450), true);
        let pages = [first.clone(), last.clone(), before];
        assert_eq!(search(402, &pages), (Ok(Some(402)), vec!["1".to_owned(), "5".to_owned()]));
        let back = ["1", "5", "4"].map(str::to_owned).to_vec();
        assert_eq!(search(9, &pages), (Ok(None), back));
        // Without a count it goes through all of them.
        let uncounted = [page(1, &reversed(&LONG_AGO), None, true), last];
        assert_eq!(search(403, &uncounted), (Ok(Some(403)), vec!["1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn where_no_order_shows_old_updates_end_nothing() {
        for times in
            [&LONG_AGO[..1], &["", "soon"], &["2001-01-01T01:00:00Z", LONG_AGO[0], LONG_AGO[1]]]
        {
            let pages = [page(1, times, Some(101), true), page(11, &TODAY, Some(101), false)];
            assert_eq!(search(12, &pages), (Ok(Some(12)), vec!["1".to_owned(), "2".to_owned()]));
        }
    }

    #[test]
    fn a_search_without_end_is_a_failure_and_no_miss() {
        let pages: Vec<_> = (0..MOST_PAGES).map(|_| page(1, &TODAY, None, true)).collect();
        let (found, asked) = search(9, &pages);
        assert_eq!(found, Err(FailureKind::Transient));
        assert_eq!(asked.len(), 20);
    }
}
