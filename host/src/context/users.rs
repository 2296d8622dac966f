//! The sessions of each user.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::sessions::{Contexts, InvalidSettings, Place, View, sent_at};
use crate::clock::Timestamp;
use crate::session::identity::Names;
use crate::session::payload::ActionsPayload;

/// What is kept of users.
#[derive(Debug, Clone, PartialEq)]
pub struct UserSettings {
    /// For how long a session counts as recent.
    pub lookback: Duration,
    /// How many sessions of one user are kept, the latest; 1 at least.
    pub max_sessions_per_user: usize,
    /// How many users are kept, 1 at least.
    pub max_users: usize,
    /// Which user ids name somebody: nobody is known by another.
    pub names: Arc<Names>,
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            max_sessions_per_user: 20,
            max_users: 10_000,
            names: Arc::default(),
        }
    }
}

/// A session of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Which.
    pub place: Place,
    /// When something was last sent of it.
    pub at: Timestamp,
}

/// User → recent sessions. A session is one user's at a time: the one named last.
pub struct Users {
    settings: UserSettings,
    users: LruCache<Arc<str>, User>,
    owners: HashMap<Place, Arc<str>>,
}

#[derive(Default)]
struct User {
    email: Option<String>,
    sessions: Vec<Seen>,
}

impl Users {
    /// With nobody in it.
    ///
    /// # Errors
    /// A setting that nothing can be done with.
    pub fn new(settings: UserSettings) -> Result<Self, InvalidSettings> {
        let invalid = |setting, wanted| InvalidSettings { setting, wanted };
        if settings.lookback.is_zero() {
            return Err(invalid("lookback", "longer than nothing"));
        }
        if settings.max_sessions_per_user == 0 {
            return Err(invalid("max_sessions_per_user", "1 at least"));
        }
        let most = NonZeroUsize::new(settings.max_users)
            .ok_or_else(|| invalid("max_users", "1 at least"))?;
        Ok(Self { settings, users: LruCache::new(most), owners: HashMap::new() })
    }

    /// Learns from a batch whose session it is. One without a user or a session teaches nothing.
    pub fn add(&mut self, batch: &ActionsPayload, now: Timestamp) {
        let (Some(id), Some(place)) = (&batch.user_id, Place::of(batch)) else { return };
        let at = sent_at(batch.forwarded_at, now);
        self.see(Seen { place, at }, id, batch.email.as_deref(), now);
    }

    /// Learns whose a session is, and when something was last sent of it. A user id that names nobody teaches
    /// nothing.
    pub fn see(&mut self, seen: Seen, user: &str, email: Option<&str>, now: Timestamp) {
        let id: Arc<str> = user.trim().into();
        if !self.settings.names.names_somebody(&id) {
            return;
        }
        let Seen { place, at } = seen;
        if let Some(before) = self.owners.get(&place).filter(|owner| **owner != id).cloned() {
            self.leave(&before, &place);
        }
        if !self.users.contains(&id)
            && let Some((_, pushed_out)) = self.users.push(id.clone(), User::default())
        {
            pushed_out.sessions.iter().for_each(|seen| drop(self.owners.remove(&seen.place)));
        }
        let user = self.users.get_mut(&id).expect("it was put there if it was missing");
        user.expire(self.settings.lookback, now, &mut self.owners);
        let names = self.settings.names.clone();
        if let Some(email) = email.filter(|email| names.is_somebodys_address(email)) {
            user.email = Some(email.to_owned());
        }
        // A batch that comes late makes no session older.
        let known = user.sessions.iter().position(|seen| seen.place == place);
        let at = known.map_or(at, |index| user.sessions.remove(index).at.max(at));
        user.sessions.push(Seen { place: place.clone(), at });
        self.owners.insert(place, id);
        user.sessions.sort_by_key(|seen| std::cmp::Reverse(seen.at));
        for over in
            user.sessions.drain(self.settings.max_sessions_per_user.min(user.sessions.len())..)
        {
            self.owners.remove(&over.place);
        }
    }

    /// The recent sessions of a user, the latest first. A user is known by the id without blanks around it,
    /// and asked for by that very id.
    pub fn recent(&mut self, user: &str, now: Timestamp) -> Vec<Seen> {
        let lookback = self.settings.lookback;
        let Some(user) = self.users.get(user) else { return Vec::new() };
        user.sessions.iter().filter(|seen| now.since(seen.at) <= lookback).cloned().collect()
    }

    /// The user's e-mail address, while a session of theirs is recent.
    pub fn email(&mut self, user: &str, now: Timestamp) -> Option<String> {
        let recent = !self.recent(user, now).is_empty();
        self.users.get(user).filter(|_| recent)?.email.clone()
    }

    /// What a user did lately, in all of the recent sessions; empty where nothing is known.
    pub fn activity(
        &mut self,
        user: &str,
        contexts: &mut Contexts,
        view: View,
        now: Timestamp,
    ) -> String {
        let parts = self.recent(user, now).into_iter().filter_map(|seen| {
            let Place { product, session } = &seen.place;
            let text = contexts.text_of(&seen.place, view, now);
            let product: &str = if product.is_empty() { "no-product-id" } else { product };
            (!text.is_empty()).then(|| format!("Session {session} ({product}):\n{text}"))
        });
        parts.collect::<Vec<_>>().join("\n\n")
    }

    /// Forgets a user. Returns the sessions that were theirs: their contexts are to be reset.
    pub fn reset(&mut self, user: &str) -> Vec<Place> {
        let Some(user) = self.users.pop(user.trim()) else { return Vec::new() };
        let places: Vec<_> = user.sessions.into_iter().map(|seen| seen.place).collect();
        places.iter().for_each(|place| drop(self.owners.remove(place)));
        places
    }

    /// Forgets a session, whose ever it is.
    pub fn forget(&mut self, place: &Place) {
        if let Some(owner) = self.owners.remove(place) {
            self.leave(&owner, place);
        }
    }

    /// Forgets the users of whom nothing is recent.
    pub fn sweep(&mut self, now: Timestamp) {
        let lookback = self.settings.lookback;
        let mut gone = Vec::new();
        for (id, user) in self.users.iter_mut() {
            user.expire(lookback, now, &mut self.owners);
            if user.sessions.is_empty() {
                gone.push(id.clone());
            }
        }
        gone.iter().for_each(|id| drop(self.users.pop(id)));
    }

    /// How many users are known.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn leave(&mut self, user: &Arc<str>, place: &Place) {
        let Some(left) = self.users.peek_mut(user) else { return };
        left.sessions.retain(|seen| seen.place != *place);
        if left.sessions.is_empty() {
            self.users.pop(user);
        }
    }
}

impl std::fmt::Debug for Users {
    /// Who they are is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("settings", &self.settings)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl User {
    fn expire(
        &mut self,
        lookback: Duration,
        now: Timestamp,
        owners: &mut HashMap<Place, Arc<str>>,
    ) {
        self.sessions.retain(|seen| {
            let recent = now.since(seen.at) <= lookback;
            if !recent {
                owners.remove(&seen.place);
            }
            recent
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Settings;
    use crate::session::payload::Action;

    const BEGIN: f64 = 1_700_000_000.0;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(BEGIN + seconds)
    }

    fn batch(user: &str, product: &str, session: &str, did: &str) -> ActionsPayload {
        let action = Action { description: did.to_owned(), ..Action::default() };
        ActionsPayload {
            product_id: product.to_owned(),
            session_id: Some(session.to_owned()),
            user_id: Some(user.to_owned()),
            email: Some(format!("{user}@example.com")),
            actions: vec![action],
            ..ActionsPayload::default()
        }
    }

    /// A world of both parts, as they are used together.
    struct World(Contexts, Users);

    impl World {
        fn new(settings: Settings, users: UserSettings) -> Self {
            Self(Contexts::new(settings).unwrap(), Users::new(users).unwrap())
        }

        fn add(&mut self, batch: &ActionsPayload, now: Timestamp) {
            self.0.add(batch, now);
            self.1.add(batch, now);
        }

        fn activity(&mut self, user: &str, now: Timestamp) -> String {
            let view = self.0.settings().view();
            self.1.activity(user, &mut self.0, view, now)
        }
    }

    fn world() -> World {
        World::new(Settings::default(), UserSettings::default())
    }

    #[test]
    fn a_session_that_changes_hands_is_listed_under_its_last_user_alone() {
        let mut world = world();
        world.add(&batch("anon", "p", "s", "first"), at(0.0));
        world.add(&batch("ada", "p", "s", "second"), at(1.0));
        assert_eq!(world.activity("anon", at(1.0)), "");
        assert!(world.activity("ada", at(1.0)).starts_with("Session s (p):\n"));
        assert_eq!(world.1.len(), 1);
    }

    #[test]
    fn sessions_of_one_name_in_two_products_are_two() {
        let mut world = world();
        world.add(&batch("ada", "p", "s", "in p"), at(0.0));
        world.add(&batch("ada", "q", "s", "in q"), at(1.0));
        let activity = world.activity("ada", at(1.0));
        let [q, p] = activity.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{activity}") };
        assert!(q.contains("(q)") && q.contains("in q") && !q.contains("in p"));
        assert!(p.contains("(p)") && p.contains("in p") && !p.contains("in q"));
    }

    #[test]
    fn a_user_who_is_reset_leaves_nothing_behind() {
        let mut world = world();
        world.add(&batch("ada", "p", "s", "secret"), at(0.0));
        let places = world.1.reset("ada");
        places.iter().for_each(|place| world.0.reset(Some(&place.product), &place.session));
        world.add(&batch("ada", "p", "s", "after"), at(1.0));
        let activity = world.activity("ada", at(1.0));
        assert!(activity.contains("after") && !activity.contains("secret"));
        assert_eq!(world.1.owners.len(), 1);
    }

    #[test]
    fn users_and_addresses_go_when_nothing_of_them_is_recent() {
        let mut world = world();
        for n in 0..100 {
            world.add(&batch(&format!("u{n}"), "p", &format!("s{n}"), "x"), at(0.0));
        }
        assert_eq!(world.1.email("u1", at(300.0)).as_deref(), Some("u1@example.com"));
        assert_eq!(world.1.email("u1", at(301.0)), None);
        world.1.sweep(at(301.0));
        assert!(world.1.is_empty() && world.1.owners.is_empty());
    }

    #[test]
    fn users_are_bounded_and_the_one_asked_for_longest_ago_goes() {
        let users = UserSettings { max_users: 2, ..UserSettings::default() };
        let mut world = World::new(Settings::default(), users);
        world.add(&batch("a", "p", "s1", "x"), at(0.0));
        world.add(&batch("b", "p", "s2", "x"), at(0.0));
        assert_ne!(world.activity("a", at(0.0)), "");
        world.add(&batch("c", "p", "s3", "x"), at(0.0));
        assert_eq!(world.activity("b", at(0.0)), "");
        assert_ne!(world.activity("a", at(0.0)), "");
        assert_eq!(world.1.owners.len(), 2);
    }

    #[test]
    fn a_clock_that_runs_ahead_makes_nobody_elses_session_old() {
        let mut world = world();
        world.add(&batch("ada", "p", "s1", "here"), at(0.0));
        let ahead =
            ActionsPayload { forwarded_at: BEGIN + 10_000.0, ..batch("ada", "p", "s2", "x") };
        world.add(&ahead, at(0.0));
        assert_eq!(world.1.recent("ada", at(0.0)).len(), 2);
        assert_eq!(world.1.recent("ada", at(400.0)).len(), 0);
    }

    #[test]
    fn a_user_is_asked_for_by_the_very_id_and_the_session_heard_of_last_stands_last_of_equals() {
        let mut world = world();
        for session in ["s1", "s2", "s1"] {
            world.add(&batch(" ada ", "p", session, "x"), at(0.0));
        }
        let recent = world.1.recent("ada", at(0.0));
        let names: Vec<_> = recent.iter().map(|seen| &*seen.place.session).collect();
        assert_eq!(names, ["s2", "s1"]);
        assert_eq!(world.1.recent(" ada ", at(0.0)), []);
        assert_eq!(world.1.email(" ada ", at(0.0)), None);
    }

    #[test]
    fn settings_that_nothing_can_be_done_with_are_refused() {
        let with = |users| Users::new(users).unwrap_err().setting;
        let d = UserSettings::default;
        assert_eq!(with(UserSettings { lookback: Duration::ZERO, ..d() }), "lookback");
        assert_eq!(with(UserSettings { max_users: 0, ..d() }), "max_users");
        let none = UserSettings { max_sessions_per_user: 0, ..d() };
        assert_eq!(with(none), "max_sessions_per_user");
    }
}
