//! `[tours.PRODUCT]`.

use super::*;
use crate::session::fsm::Limits;

fn with(tours: &str) -> String {
    format!("{MINIMAL}{tours}")
}

fn acme(config: &Config) -> &crate::offers::tours::Tours {
    &config.tours[&ProductId::new("acme").unwrap()]
}

/// A configuration beside a file of tours.
fn beside(json: &str, tours: &str) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tours.json"), json).unwrap();
    let loaded = Config::from_toml(&with(tours), folder.path(), &|_| None);
    let here = folder.path().display().to_string();
    loaded.map_err(|errors| {
        errors.problems().iter().map(|it| it.to_string().replace(&here, "HERE")).collect()
    })
}

#[test]
fn tours_stand_in_tables_each_with_its_own_limits_or_the_usual_ones() {
    let config = load(
        &with(
            "[tours.acme]\nquestion = \"Je vous montre ?\"\nyes = \"Oui\"\nno = \"Non\"\ncooldown_period_s = 0\n\
             [tours.acme.tours.export]\nuser_tour_id = \"flow\"\ninteraction_timeout_s = 30.5\n\
             [tours.acme.tours.other]\nuser_tour_id = \"other\"\n",
        ),
        &[],
    )
    .unwrap();
    let tours = acme(&config);
    assert_eq!(tours.wording.question, "Je vous montre ?");
    let session = Limits::default();
    let pair = |tour| {
        let limits = tours.registry.limits(tour, session);
        (limits.interaction_timeout_s, limits.cooldown_period_s)
    };
    assert_eq!(pair("flow"), (30.5, 0.0));
    assert_eq!(pair("other"), (20.0, 0.0));
}

#[test]
fn each_mistake_about_tours_names_its_key_and_the_way_out() {
    let cases = [
        ("[tours.acne]\n", "the product \"acne\", which isn't there; did you mean \"acme\"?"),
        ("[tours.acme]\nwait = 1\n", "unknown key \"wait\""),
        ("[tours.acme]\nno = \" YES \"\n", "\"no\": it is what `yes` is"),
        ("[tours.acme]\nquestion = \" \"\n", "\"question\": it is blank"),
        ("[tours.acme]\ninteraction_timeout_s = -1\n", "it isn't a number from 0"),
        ("[tours.acme]\ncooldown_period_s = nan\n", "it isn't a number from 0"),
        ("[tours.acme]\ncooldown_period_s = \"2m\"\n", "write a number of seconds"),
        ("[tours.acme.tours.a]\n", "\"user_tour_id\" is missing"),
        ("[tours.acme.tours.a]\nuser_tour_id = \" \"\n", "\"user_tour_id\": it is blank"),
        (
            "[tours.acme.tours.a]\nuser_tour_id = \"x\"\n[tours.acme.tours.b]\nuser_tour_id = \"x\"\n",
            "\"user_tour_id\": [a] shows this tour too",
        ),
        ("[tours.acme]\nfile = \"gone.json\"\n", "gone.json: No such file"),
    ];
    for (tours, wanted) in cases {
        let errors = errors(&with(tours), &[]);
        assert!(matches!(&*errors, [error] if error.contains(wanted)), "{tours}: {errors:?}");
    }
}

#[test]
fn a_registry_of_autoplay_sdk_is_read_and_every_bad_entry_of_it_is_named() {
    let tours = "[tours.acme]\nfile = \"tours.json\"\n";
    let json = r#"{"product_id": "acme", "tours": [{"id": "a", "user_tour_id": "flow", "cooldown_period_s": 90}]}"#;
    let config = beside(json, tours).unwrap();
    assert_eq!(acme(&config).registry.by_id("a").unwrap().limits.cooldown_period_s, 90.0);
    let integration = r#"{"tour_registry": [{"id": "a", "user_tour_id": "flow"}]}"#;
    assert_eq!(acme(&beside(integration, tours).unwrap()).registry.tours().len(), 1);

    let json = r#"{"tours": [{"id": "a", "interaction_timeout_s": null}, 5, {"id": "good"}]}"#;
    let errors = beside(json, tours).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let wanted = "\"file\": HERE/tours.json: reading the tours: `tours[0].interaction_timeout_s` must be a finite \
                  number of seconds, 0 or more; the tour isn't registered; correct the entry, or leave it out";
    assert!(errors[0].contains(wanted), "{}", errors[0]);
    assert!(errors[1].contains("`tours[1]` must be an object"), "{}", errors[1]);
}

#[test]
fn a_file_that_is_no_registry_of_this_product_is_refused() {
    let tours = "[tours.acme]\nfile = \"tours.json\"\n";
    for (json, wanted) in [
        ("{", "it is no JSON"),
        ("[]", "`registry` must be an object"),
        (r#"{"tours": 5}"#, "`tours` must be a list"),
        (r#"{"tour_registry": {}}"#, "`tour_registry` must be a list"),
        (r#"{"product_id": "other"}"#, "its `product_id` is \"other\", not \"acme\""),
    ] {
        let errors = beside(json, tours).unwrap_err();
        assert!(matches!(&*errors, [error] if error.contains(wanted)), "{json}: {errors:?}");
    }
    let both =
        format!("{tours}interaction_timeout_s = 5\n[tours.acme.tours.a]\nuser_tour_id = \"x\"\n");
    let errors = beside("{}", &both).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors.iter().all(|error| error.contains("the tours are those of `file`")),
        "{errors:?}"
    );
}
