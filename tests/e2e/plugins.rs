//! Plugins that misbehave stop nobody but themselves.

use sidenote_tests::{Person, Rig, Setup, eventually};

const DELIVERY: &str = r#"
retry_initial = "20ms"
retry_max = "50ms"
max_attempts = 4
"#;

/// Three plugins that misbehave where an action asks for it, one product each.
const ROGUES: &str = r#"
[plugins.trap]
file = "guest_trap.wasm"

[plugins.spin]
file = "guest_spin.wasm"
limits = { cpu_time = "300ms", call_timeout = "2s" }

[plugins.garbage]
file = "guest_garbage.wasm"

[products.trap]
plugins = ["trap"]

[products.spin]
plugins = ["spin"]

[products.garbage]
plugins = ["garbage"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_traps_loops_or_babbles_stops_nobody_else() {
    let setup = Setup {
        delivery: DELIVERY.to_owned(),
        tables: ROGUES.to_owned(),
        files: &["guest_trap.wasm", "guest_spin.wasm", "guest_garbage.wasm"],
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let rogues = [("trap", "trap"), ("spin", "spin"), ("garbage", "flood")];
    let mut asked = Vec::new();
    for (product, wish) in rogues {
        let person = Person::new(product, format!("rogue-{wish}"));
        rig.link(&person, &format!("of-{wish}")).await;
        rig.emit(&person.saying([(0, wish.to_owned())])).await;
        asked.push(person);
    }

    // This one asks for a pause without end, in a failure full of control characters: its lane waits.
    let patient = Person::new("garbage", "rogue-failure");
    rig.link(&patient, "of-failure").await;
    rig.emit(&patient.saying([(0, "failure".to_owned())])).await;

    let people: Vec<Person> = (0..20).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
        rig.emit(&person.batch(0..3)).await;
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 3).await;
    }

    let dead = given_up(&rig, rogues.len()).await;
    for ((product, wish), (session, reason, attempts)) in rogues.iter().zip(&dead) {
        assert_eq!(*session, format!("rogue-{wish}"), "{dead:?}");
        assert!((1..=4).contains(attempts), "{wish}: {attempts} attempts");
        assert!(
            !reason.chars().any(char::is_control) && reason.len() < 10_000,
            "{wish}: {reason:?}"
        );
        match *product {
            "trap" => assert!(reason.contains("trap"), "{reason}"),
            "spin" => assert!(reason.contains("cpu") || reason.contains("time"), "{reason}"),
            _ => assert!(!reason.is_empty(), "{reason}"),
        }
    }

    // A note given up doesn't block the session's next one, and the plugin serves again.
    let posted = rig.host().counters().notes_posted;
    for person in &asked {
        rig.emit(&person.saying([(1, "fine".to_owned())])).await;
    }
    eventually(|| match rig.host().counters().notes_posted - posted {
        n if n >= asked.len() as u64 => Ok(()),
        n => Err(format!("{n} of {} rogues came round", asked.len())),
    })
    .await;
    assert_eq!(rig.host().counters().notes_dead, rogues.len() as u64);
    rig.end().await;
}

/// Waits for so many dead letters: session, reason and attempts, in the order of the wishes.
async fn given_up(rig: &Rig, count: usize) -> Vec<(String, String, u32)> {
    let order = ["rogue-trap", "rogue-spin", "rogue-flood"];
    let mut letters: Vec<_> = rig
        .dead_letters(count)
        .await
        .into_iter()
        .map(|letter| (letter.note.key.session.to_string(), letter.reason, letter.attempts))
        .collect();
    letters.sort_by_key(|(session, ..)| order.iter().position(|known| known == session));
    letters
}
