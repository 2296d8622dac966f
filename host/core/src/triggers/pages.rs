//! Which pages somebody went to, in their order.

use std::collections::BTreeMap;

/// Visits of pages: a run of actions on one page is one visit. Actions on unknown pages don't count.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Visits<'a>(Vec<&'a str>);

impl<'a> Visits<'a> {
    /// The visits behind a row of pages, one for each action. Pages are compared exactly, after trimming.
    ///
    /// ```
    /// use sidenote_core::triggers::pages::{Part, Visits};
    /// let visits = Visits::of(["/a", "/a", "", "/b", "/b", " /a "]);
    /// assert_eq!(visits.len(), 3);
    /// assert_eq!(visits.returns(&Part::everywhere()), 1);
    /// ```
    pub fn of(pages: impl IntoIterator<Item = &'a str>) -> Self {
        let mut visits: Vec<&str> = Vec::new();
        for page in pages.into_iter().map(str::trim).filter(|page| !page.is_empty()) {
            if visits.last() != Some(&page) {
                visits.push(page);
            }
        }
        Self(visits)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pages in their order, as often as they were visited.
    pub fn pages(&self) -> &[&'a str] {
        &self.0
    }

    /// How often somebody went from a page to another one and straight back, where one of the two lies in `part`.
    pub fn returns(&self, part: &Part) -> usize {
        let is_return =
            |trip: &&[&str]| trip[0] == trip[2] && (part.covers(trip[0]) || part.covers(trip[1]));
        self.0.windows(3).filter(is_return).count()
    }

    /// Whether somebody seems to look for something: so many different pages of `part`, and one of them
    /// `revisits` times again. Another page lies between two visits of one.
    pub fn hesitates(&self, part: &Part, min_pages: usize, revisits: usize) -> bool {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for page in self.0.iter().filter(|page| part.covers(page)) {
            *times.entry(page).or_default() += 1;
        }
        times.len() >= min_pages && times.values().any(|times| *times > revisits)
    }
}

/// A part of an application: the pages with a text in their address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part(String);

impl Part {
    /// All of it.
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// The pages with this text in their address, by capitals too. A blank one is in every address.
    pub fn with(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text; empty for everywhere.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it is all of the application.
    pub fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a page lies in it.
    pub fn covers(&self, page: &str) -> bool {
        page.contains(&self.0)
    }

    /// Whether somebody was in it.
    pub fn was_visited(&self, visits: &Visits<'_>) -> bool {
        self.is_everywhere() || visits.pages().iter().any(|page| self.covers(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(pages: &str) -> Visits<'_> {
        Visits::of(pages.split(' '))
    }

    #[test]
    fn a_run_of_actions_on_a_page_is_one_visit() {
        assert_eq!(visits("/a /a /b /b /a /a").pages(), ["/a", "/b", "/a"]);
        assert_eq!(Visits::of(["", " ", "/a", "", "/a"]).pages(), ["/a"]);
        assert!(Visits::of([]).is_empty());
    }

    #[test]
    fn a_return_goes_to_one_other_page_and_straight_back() {
        for (pages, returns) in
            [("/a /b /a", 1), ("/a /b /a /b", 2), ("/a /b /c /a", 0), ("/a /a", 0), ("/a /b /A", 0)]
        {
            assert_eq!(visits(pages).returns(&Part::everywhere()), returns, "{pages}");
        }
    }

    #[test]
    fn a_part_asks_for_one_leg_of_the_return_in_it() {
        let part = Part::with(" projects ");
        for (pages, returns) in [
            ("/home /projects/1 /home", 1),
            ("/projects/1 /home /projects/1", 1),
            ("/home /team /home /projects/1", 0),
            ("/Projects /home /Projects", 0),
        ] {
            assert_eq!(visits(pages).returns(&part), returns, "{pages}");
        }
        assert!(part.was_visited(&visits("/home /projects/1")));
        assert!(!part.was_visited(&visits("/home")));
        assert!(Part::with("  ").was_visited(&Visits::of([])), "a blank text is everywhere");
    }

    #[test]
    fn going_forward_is_no_hesitation_and_a_return_over_several_pages_is() {
        let everywhere = Part::everywhere();
        assert!(!visits("/a /b /c /c").hesitates(&everywhere, 3, 1));
        assert!(visits("/a /b /c /a").hesitates(&everywhere, 3, 1));
        assert!(!visits("/a /b /a /b").hesitates(&everywhere, 3, 1), "two pages");
        assert!(!visits("/a /b /c /a").hesitates(&everywhere, 3, 2));
        assert!(!visits("/a /p/1 /b /p/1 /p/2").hesitates(&Part::with("/p/"), 3, 1));
    }
}
