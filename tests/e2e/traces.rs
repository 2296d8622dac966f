//! What a collector is sent of a delivery: one whole trace, and nothing that people did.

use sidenote_sim::{Fault, PlatformOptions, Scope};
use sidenote_tests::collector::{Collector, Span, told};
use sidenote_tests::{Person, Rig, Setup, eventually};

const TOKEN: &str = "collector-token";

fn setup(collector: &Collector, keys: &str) -> Setup {
    let endpoint = collector.endpoint();
    Setup {
        tables: format!(
            "[traces]\nendpoint = \"{endpoint}\"\ntoken = {{ env = \"TRACES\" }}\n{keys}"
        ),
        secrets: vec![("TRACES", TOKEN.to_owned())],
        // Long enough that the host is stopped in it.
        delivery: "retry_initial = \"2s\"\nretry_max = \"2s\"".to_owned(),
        platform: PlatformOptions { exchanges: 100, ..PlatformOptions::default() },
        ..Setup::default()
    }
}

/// The spans of this name that hang from `parent`.
fn below<'a>(spans: &'a [Span], parent: &Span, name: &str) -> Vec<&'a Span> {
    let hangs = |span: &&Span| span.parent_span_id == parent.span_id && span.name == name;
    let mut found: Vec<_> = spans.iter().filter(hangs).collect();
    found.sort_by_key(|span| span.start_time_unix_nano);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_one_trace_from_its_event_to_the_platform_across_a_restart() {
    // Spans that the collector refuses for a moment come again.
    let collector = Collector::start(TOKEN, 1).await;
    let mut rig = Rig::start(setup(&collector, "")).await;
    let person = Person::new("p", "canary-session");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(503), 1);
    rig.emit(&person.batch(0..3)).await;
    eventually(|| {
        let exchanges = rig.platform.exchanges();
        let ended = exchanges.first().is_some_and(|it| it.end.is_some());
        ended.then_some(()).ok_or_else(|| format!("the first attempt ends: {exchanges:?}"))
    })
    .await;
    rig.stop_host().await;
    rig.start_host().await;
    rig.arrives(&conversation, &person, 3).await;

    let exchanges = rig.platform.exchanges();
    let key = exchanges[0].key.to_string();
    assert_eq!((exchanges.len(), &*exchanges[1].key), (2, &*key));
    eventually(|| {
        let spans = collector.trace(&key);
        let has_root = spans.iter().any(|span| span.parent_span_id.is_empty());
        has_root.then_some(()).ok_or_else(|| format!("the delivery's own span: {spans:?}"))
    })
    .await;
    let spans = collector.trace(&key);
    let root = spans.iter().find(|span| span.parent_span_id.is_empty()).expect("it has come");
    assert_eq!((&*root.name, spans.len()), ("delivery", 9), "{spans:#?}");
    assert_eq!(told(root, "sidenote.plugin").as_deref(), Some("bot"));
    assert_eq!(told(root, "sidenote.kind").as_deref(), Some("note"));
    let (wait, commit) = (below(&spans, root, "wait"), below(&spans, root, "commit"));
    assert_eq!((wait.len(), commit.len()), (1, 1), "of the first attempt");
    assert_eq!(wait[0].start_time_unix_nano, root.start_time_unix_nano);
    assert_eq!(wait[0].end_time_unix_nano, commit[0].start_time_unix_nano);
    let attempts = below(&spans, root, "attempt");
    let errors: Vec<_> = attempts.iter().map(|span| told(span, "error.type")).collect();
    assert_eq!(errors, [Some("transient".to_owned()), None]);
    for (n, attempt) in attempts.iter().enumerate() {
        assert_eq!(told(attempt, "sidenote.attempt"), Some((n + 1).to_string()));
        let [call] = below(&spans, attempt, "call")[..] else { panic!("{spans:#?}") };
        assert_eq!(told(call, "sidenote.interface").as_deref(), Some("writer"));
        let [request] = below(&spans, call, "request")[..] else { panic!("{spans:#?}") };
        let status = told(request, "http.response.status_code");
        assert_eq!(status.as_deref(), Some(["503", "201"][n]));
        assert_eq!(told(request, "server.address").as_deref(), Some("127.0.0.1"));
        // The platform goes on from the request.
        let carried = format!("00-{key}-{}-01", hex::encode(&request.span_id));
        assert_eq!(exchanges[n].trace.as_deref(), Some(&*carried));
        let within = |inner: &Span, outer: &Span| {
            outer.start_time_unix_nano <= inner.start_time_unix_nano
                && inner.end_time_unix_nano <= outer.end_time_unix_nano
        };
        assert!(within(request, call) && within(call, attempt) && within(attempt, root));
    }
    let (service, _) = collector.service();
    assert_eq!(service["service.name"], "sidenote");
    let text = collector.text();
    for canary in ["canary-session", &conversation, TOKEN, &exchanges[0].text, "/notes"] {
        assert!(!text.contains(canary), "{canary:?} is in what the collector was sent");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_says_so_and_leaves_no_span() {
    let collector = Collector::start(TOKEN, 0).await;
    let rig = Rig::start(setup(&collector, "sample = 0.0")).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    let exchange = rig.platform.exchanges().remove(0);
    let trace = exchange.trace.expect("a trace context goes along all the same");
    assert!(
        trace.starts_with(&format!("00-{}-", exchange.key)) && trace.ends_with("-00"),
        "{trace}"
    );
    rig.end().await;
    assert_eq!(collector.service().1, 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_ends_its_trace_with_an_error() {
    let collector = Collector::start(TOKEN, 0).await;
    let rig = Rig::start(setup(&collector, "")).await;
    let person = Person::new("p", "s");
    rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(422), 1);
    rig.emit(&person.batch(0..1)).await;
    let dead = rig.dead_letters(1).await;
    rig.stop().await;
    let spans = collector.trace(&dead[0].note.idempotency_key);
    let root = spans.iter().find(|span| span.parent_span_id.is_empty()).expect("it has come");
    assert_eq!(told(root, "error.type").as_deref(), Some("undelivered"));
    let failed = below(&spans, root, "attempt").into_iter().filter_map(|it| told(it, "error.type"));
    assert_eq!(failed.collect::<Vec<_>>(), ["invalid"]);
}
