use super::*;

/// What each test of a way in tries, too.
const NOBODIES: [&str; 25] = [
    "undefined",
    "Undefined",
    "null",
    "NULL",
    "None",
    "NaN",
    "0",
    "guest",
    "anonymous",
    "ANONYMOUS",
    "not_authenticated",
    "[object Object]",
    "true",
    "False",
    "id",
    "email",
    "distinct_id",
    "   ",
    "\u{200b}\u{3164}",
    "\u{a0}\t\n",
    "\"undefined\"",
    "'null'",
    "nil",
    "N/A",
    "{{ user.id }}",
];

#[test]
fn values_that_programs_write_for_nobody_name_nobody() {
    let names = Names::default();
    for value in NOBODIES {
        assert!(!names.names_somebody(value), "{value:?}");
        assert!(!names.is_somebodys_address(value), "{value:?}");
    }
    for value in
        ["und\u{200b}efined", " \u{feff}null\u{feff} ", "\\\"null\\\"", "“None”", "' guest '"]
    {
        assert!(!names.names_somebody(value), "{value:?}");
    }
    for value in ["ann", "42", "00", "guest-17", "nulls", "u0", "true@example.com", "o'neill", "Ω"]
    {
        assert!(names.names_somebody(value), "{value:?}");
    }
}

#[test]
fn addresses_that_are_nobodys_are_told_from_those_of_people() {
    let names = Names::default();
    for address in [
        "undefined",
        "null@null",
        "none@none.com",
        "noemail",
        "noemail@example.com",
        "@",
        "ann@",
        "@example.com",
        "undefined@example.com",
        "No-Reply@example.com",
        "ann@undefined",
        " ",
        "guest@guest.com",
    ] {
        assert!(!names.is_somebodys_address(address), "{address:?}");
    }
    for address in ["ann@example.com", "guest@hotel.example", "ID@example.com", "0@example.com"] {
        assert!(names.is_somebodys_address(address), "{address:?}");
    }
}

#[test]
fn an_operator_adds_to_the_list_and_takes_off_it() {
    let names = Names::default().with_list(["Demo-User", "shared@example.com"], ["0", "NULL"]);
    assert!(!names.names_somebody("demo-user") && !names.names_somebody(" \"DEMO-USER\" "));
    assert!(!names.is_somebodys_address("Shared@example.com"));
    assert!(names.names_somebody("0") && names.names_somebody("null"));
    assert!(!names.names_somebody("undefined"));
    assert!(!names.with_list([], [" "]).names_somebody(" "), "blanks never name anybody");
}

#[test]
fn ids_of_analytics_tools_are_told_from_those_of_people() {
    let names = Names::default();
    for id in [
        "018f3a6e-7b1c-7cc2-9d5e-2f6a0b1c2d3e",
        "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "f47ac10b58cc4372a5670e02b2c3d479",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479R",
        "17b3a5c0d1e2f3-0a1b2c3d4e5f67-35607403-1fa400-17b3a5c0d1e2f4",
        "$device:17b3a5c0d1e2f3-0a1b2c3d4e5f67-35607403-1fa400-17b3a5c0d1e2f4",
        "cookieless_C2dhQ0AvUBo9h8rI",
        "123456789.1700000000",
        "GA1.2.123456789.1700000000",
    ] {
        assert!(names.is_anonymous(id), "{id}");
        assert!(names.names_somebody(id), "it is a name all the same: {id}");
    }
    for id in ["ann", "42", "507f1f77bcf86cd799439011", "a-b-c-d-e", "ann@example.com", "1.5", ""] {
        assert!(!names.is_anonymous(id), "{id}");
    }
    let strict = Names::default().with_uuids_of_people(true);
    assert!(!strict.is_anonymous("f47ac10b-58cc-4372-a567-0e02b2c3d479"));
}

fn who(user_id: &str, email: &str, told_by: &str) -> Identity {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Identity { user_id: some(user_id), email: some(email), told_by: some(told_by).map(Into::into) }
}

#[test]
fn ids_contradict_each_other_within_one_namespace_only() {
    const UUID: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    const ANN: &str = "ann@example.com";
    let names = Names::default();
    // Two people, whether they are of one product, and whether they are known to be two.
    for (one, two, same_product, differ) in [
        (who("1", "", ""), who("2", "", ""), true, true),
        (who("1", "", ""), who("2", "", ""), false, false),
        (who("1", ANN, ""), who("2", "bob@example.com", ""), false, true),
        (who("1", "", "chat"), who("2", "", "chat"), false, true),
        (who("1", "", "chat"), who("2", "", ""), true, false),
        (who("1", "", "chat"), who("2", "", "desk"), true, false),
        (who(UUID, "", ""), who("2", "", ""), true, false),
        (who(UUID, ANN, ""), who("2", "bob@example.com", ""), true, true),
        (who("Ann@example.com", ANN, ""), who("2", ANN, ""), true, false),
        (who("Ann@example.com", "", ""), who("2", ANN, ""), true, false),
        (who("1", ANN, ""), who("1", "bob@example.com", ""), true, false),
        (who("", ANN, ""), who("", "ANN@example.com ", ""), true, false),
        (who("", ANN, ""), who("2", "", ""), true, false),
    ] {
        assert_eq!(one.is_another_than(&two, same_product, &names), differ, "{one:?} {two:?}");
        assert_eq!(two.is_another_than(&one, same_product, &names), differ);
    }
}

#[test]
fn what_is_vouched_for_is_said_by_the_names_of_fields() {
    let all = Vouched::read(" email session-id\texternal-user-id ");
    assert_eq!(all, Vouched::ALL);
    let email = Vouched { email: true, ..Vouched::default() };
    assert_eq!(Vouched::read("e-mail email,session-id EMAIL email phone"), email);
    assert_eq!(Vouched::read(""), Vouched::default());
}

#[test]
fn a_named_session_is_verified_where_the_platform_vouches_for_its_person() {
    let ann = who("1", "ann@example.com", "");
    for (tie, told, basis) in [
        (Tie::Operator, who("", "", ""), Basis::Operator),
        (Tie::Verified, who("", "", ""), Basis::Verified),
        (Tie::Named, who("", "", ""), Basis::Unverified),
        (Tie::Named, who("1", "", "chat"), Basis::Verified),
        (Tie::Named, who("", "ANN@example.com", ""), Basis::Verified),
        (Tie::Named, who("2", "", "chat"), Basis::Unverified),
        (Tie::Named, who("Ann@example.com", "", "chat"), Basis::Verified),
        (Tie::Claimed, who("1", "ann@example.com", ""), Basis::Unverified),
    ] {
        assert_eq!(tie.basis(&ann, &told), basis, "{tie:?}");
    }
    assert!(Basis::Unverified < Basis::Verified && Basis::Verified < Basis::Operator);
}
