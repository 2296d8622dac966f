//! Whose conversation it is: what is an id, what is vouched for, and whose tenant it is.

use serde_json::{Value, json};

use crate::rows::{Who, platforms};

#[test]
fn numbers_are_ids_as_on_the_stream() {
    for platform in platforms() {
        for (session, user) in [(4242, 12345), (1, 0), (i64::MAX, -7)] {
            let who = Who { session: json!(session), user: json!(user), ..Who::ann() };
            let turn = platform.turn(&[], &(platform.opens)(&who));
            assert_eq!(turn.session_id, Some(session.to_string()), "{}", platform.folder);
            assert_eq!(turn.external_user_id, Some(user.to_string()), "{}", platform.folder);
        }
    }
}

#[test]
fn what_is_no_id_names_nobody_and_takes_nothing_with_it() {
    let nobody =
        [Value::Null, json!(""), json!(" "), json!(1.5), json!(true), json!(["s"]), json!({})];
    for platform in platforms() {
        for odd in &nobody {
            let who = Who { session: odd.clone(), user: odd.clone(), email: odd.clone() };
            let turn = platform.turn(&[], &(platform.opens)(&who));
            let told = (turn.session_id, turn.external_user_id, turn.email);
            assert_eq!(told, (None, None, None), "{}: {odd}", platform.folder);
            assert!(turn.extras.is_empty(), "{}: {odd}", platform.folder);
        }
    }
}

#[test]
fn nothing_is_vouched_for_without_a_setting_but_what_the_operators_own_bot_says() {
    for platform in platforms() {
        let turn = platform.turn(&[], &(platform.opens)(&Who::ann()));
        let told = (turn.session_id.as_deref(), turn.external_user_id.as_deref());
        assert_eq!(told, (Some("s-1"), Some("u-1")), "{}", platform.folder);
        assert_eq!(turn.email.as_deref(), Some("ann@example.com"), "{}", platform.folder);
        let vouched = turn.extras.iter().any(|(key, _)| key == "verified");
        assert_eq!(vouched, platform.is_believed, "{}", platform.folder);
        if !platform.is_believed {
            let off = [("identity_verification", "false")];
            let turn = platform.turn(&off, &(platform.opens)(&Who::ann()));
            assert!(turn.extras.is_empty(), "{}", platform.folder);
        }
    }
}

#[test]
fn a_webhook_of_another_tenant_is_refused_where_ours_is_known() {
    for platform in platforms() {
        let Some(foreign) = &platform.foreign else {
            assert!(platform.is_believed, "{} says whose webhooks it takes", platform.folder);
            continue;
        };
        let ours = (platform.opens)(&Who::ann());
        platform.turn(&[foreign.ours], &ours);
        let mut theirs = ours.body.clone();
        *theirs.pointer_mut(foreign.place).unwrap() = foreign.theirs.clone();
        platform.host(&[foreign.ours], &ours.answered());
        let refused = platform.receive(theirs.to_string().as_bytes()).map_err(|it| it.status);
        assert_eq!(refused, Err(403), "{}", platform.folder);
    }
}
