//! Random wishes of whoever, and what must hold whatever they are.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{ProductId, SessionId};
use crate::rules::Delivery;
use crate::session::state::{Effect, Record, Session};

const PEOPLE: [Option<&str>; 4] = [Some("ann"), Some("ann"), Some("bob"), None];
const CONVERSATIONS: [&str; 3] = ["c0", "c1", "c2"];
const TIES: [Tie; 4] = [Tie::Claimed, Tie::Named, Tie::Verified, Tie::Operator];

#[derive(Debug, Clone, Copy)]
struct Step {
    session: usize,
    conversation: usize,
    tie: Tie,
    mode: LinkMode,
}

fn step() -> impl Strategy<Value = Step> {
    let modes = prop_oneof![Just(LinkMode::Auto), Just(LinkMode::Reply), Just(LinkMode::Move)];
    let parts = (0..PEOPLE.len(), 0..CONVERSATIONS.len(), 0..TIES.len(), modes);
    parts.prop_map(|(session, conversation, tie, mode)| {
        // Only an operator moves.
        let tie = if mode == LinkMode::Move { Tie::Operator } else { TIES[tie] };
        Step { session, conversation, tie, mode }
    })
}

/// Sessions and conversations as the engine keeps them.
struct World {
    plugin: PluginName,
    names: Names,
    sessions: Vec<Session>,
    owners: HashMap<ConversationId, Owners>,
}

impl World {
    fn new() -> Self {
        let product = ProductId::new("p").expect("an id");
        let session = |(n, user): (usize, &Option<&str>)| {
            let session = SessionId::new(format!("s{n}")).expect("an id");
            let key = SessionKey { product: product.clone(), session };
            let record = Record { user_id: user.map(str::to_owned), ..Record::default() };
            Session::load(key, Some(record), Vec::new())
        };
        let sessions = PEOPLE.iter().enumerate().map(session).collect();
        let (plugin, names) = ("bot".into(), Names::default());
        Self { plugin, names, sessions, owners: HashMap::new() }
    }

    fn link(&mut self, step: Step, at: i64) -> Result<LinkEvent, Foreign> {
        let (now, rules) = (Timestamp(at), Delivery::default());
        let conversation = ConversationId::new(CONVERSATIONS[step.conversation]).expect("an id");
        let owners = self.owners.entry(conversation.clone()).or_default();
        let request = LinkRequest {
            plugin: &self.plugin,
            conversation: &conversation,
            mode: step.mode,
            told: &Identity::default(),
            tie: step.tie,
            names: &self.names,
        };
        let session = &mut self.sessions[step.session];
        let (event, effects) = session.on_link(request, owners, now, &rules)?;
        let key = session.key.clone();
        let Some(link) = session.record().link.clone() else { panic!("it is linked") };
        let mut left = Vec::new();
        if link.conversation == conversation {
            let who = session.record().identity();
            let basis = link.basis;
            left = owners.outranked_by(Party { key: &key, who: &who, basis }, &self.names);
            owners.add(Owner { key: key.clone(), who, since: now, basis });
        }
        self.leave(&key, &effects);
        for other in left {
            let target = (self.plugin.clone(), conversation.clone());
            let session = self.sessions.iter_mut().find(|session| session.key == other);
            let effects = session.expect("it is one of these").on_outranked(&target);
            self.leave(&other, &effects);
        }
        Ok(event)
    }

    fn leave(&mut self, key: &SessionKey, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Leave((_, conversation)) = effect
                && let Some(owners) = self.owners.get_mut(conversation)
            {
                owners.remove(key);
            }
        }
    }

    fn links(&self) -> Vec<Option<Link>> {
        self.sessions.iter().map(|session| session.record().link.clone()).collect()
    }
}

proptest! {
    #[test]
    fn nobody_moves_a_link_that_rests_on_as_much_and_no_claim_stays_beside_another_persons(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new();
        for (at, step) in (1..).zip(steps) {
            let before = world.links();
            let result = world.link(step, at);
            let after = world.links();
            let basis = step.tie.basis(&Identity::default(), &Identity::default());
            for (n, (before, after)) in before.iter().zip(&after).enumerate() {
                if n != step.session {
                    // Somebody else's link ends only where nobody vouched for it, and a surer one comes.
                    if before != after {
                        let before = before.as_ref().expect("it ended");
                        prop_assert!(after.is_none() && before.basis == Basis::Unverified);
                        prop_assert!(basis > Basis::Unverified);
                        prop_assert!(PEOPLE[n].is_some() && PEOPLE[n] != PEOPLE[step.session]);
                    }
                    continue;
                }
                let (Some(before), Ok(event)) = (before, result) else {
                    prop_assert!(result.is_ok() || before == after, "a refused request changes nothing");
                    continue;
                };
                let after = after.as_ref().expect("a link is never lost by a request of its own");
                if after.conversation != before.conversation {
                    prop_assert_eq!(event, LinkEvent::Moved);
                    prop_assert!(step.mode == LinkMode::Move || basis > before.basis);
                    prop_assert_eq!((after.moves, after.basis), (before.moves + 1, basis));
                } else {
                    prop_assert!(after.basis >= before.basis);
                }
                let elsewhere = CONVERSATIONS[step.conversation] != before.conversation.as_str();
                if elsewhere && step.mode != LinkMode::Move && basis <= before.basis {
                    prop_assert_eq!(event, LinkEvent::Kept);
                }
            }
            // Beside a person's conversation that is known to be theirs is nobody's unverified session.
            for one in world.sessions.iter().zip(PEOPLE) {
                for two in world.sessions.iter().zip(PEOPLE) {
                    let ((Some(a), Some(b)), true) = (
                        (&one.0.record().link, &two.0.record().link),
                        one.1.is_some() && two.1.is_some() && one.1 != two.1,
                    ) else { continue };
                    if a.conversation == b.conversation {
                        // What an operator moved stands, and stands above.
                        let least = a.basis.min(b.basis);
                        prop_assert!(least == a.basis.max(b.basis) || least > Basis::Unverified,
                            "{step:?}: {a:?} {b:?}");
                    }
                }
            }
        }
    }
}
