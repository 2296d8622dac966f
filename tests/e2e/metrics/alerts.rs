//! Each alert fires for its own fault, and none for a host that is well: judged by `promtool test rules`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::prometheus::{assert_fine, examples, is_installed, promtool};

/// A fault: the alert, and the series by which it shows, with their values of an hour.
const FAULTS: [(&str, &[(&str, &str)]); 14] = [
    ("SidenoteDown", &[("up{job=\"sidenote\"}", "0x60")]),
    ("SidenoteNotReady", &[("sidenote_ready", "0x60")]),
    (
        "SidenoteStreamSilent",
        &[("sidenote_stream_last_event_age_seconds{stream=\"a\"}", "0+60x60")],
    ),
    ("SidenoteStreamPaused", &[("sidenote_stream_paused_seconds{stream=\"a\"}", "0+60x60")]),
    (
        "SidenoteNotesWait",
        &[("sidenote_delivery_oldest_waiting_seconds{plugin=\"bot\",kind=\"note\"}", "0+60x60")],
    ),
    ("SidenoteDeadLetters", &[("sidenote_notes_dead_total", "0+1x60")]),
    (
        "SidenoteDeliverySlow",
        &[
            ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"60\"}", "0x60"),
            ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"300\"}", "0+9x60"),
            ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"+Inf\"}", "0+9x60"),
        ],
    ),
    ("SidenoteBreakerOpen", &[("sidenote_breaker_state{plugin=\"bot\",state=\"closed\"}", "0x60")]),
    (
        "SidenotePluginDisabled",
        &[("sidenote_breaker_state{plugin=\"bot\",state=\"disabled\"}", "1x60")],
    ),
    ("SidenotePluginTraps", &[("sidenote_plugin_traps_total{plugin=\"bot\"}", "0+2x60")]),
    (
        "SidenotePluginNotLoaded",
        &[("sidenote_plugin_state{plugin=\"bot\",state=\"failed\"}", "1x60")],
    ),
    ("SidenoteStore", &[("sidenote_store_state{state=\"away\"}", "1x60")]),
    ("SidenoteJournalFills", &[("sidenote_journal_records", "7x60")]),
    (
        "SidenoteActionsDropped",
        &[("sidenote_actions_dropped_total{reason=\"no_session\"}", "0+1x60")],
    ),
];

/// A host that is well: some things went wrong once, and not since.
const WELL: [(&str, &str); 17] = [
    ("up{job=\"sidenote\"}", "1x60"),
    ("sidenote_ready", "1x60"),
    ("sidenote_stream_state{stream=\"a\",state=\"connected\"}", "1x60"),
    ("sidenote_stream_last_event_age_seconds{stream=\"a\"}", "20x60"),
    ("sidenote_stream_paused_seconds{stream=\"a\"}", "0x60"),
    ("sidenote_delivery_oldest_waiting_seconds{plugin=\"bot\",kind=\"note\"}", "12x60"),
    ("sidenote_notes_dead_total", "3x60"),
    ("sidenote_sink_deliveries_total{outcome=\"dead\"}", "3x60"),
    ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"60\"}", "0+99x60"),
    ("sidenote_delivery_seconds_bucket{kind=\"note\",le=\"+Inf\"}", "0+100x60"),
    ("sidenote_breaker_state{plugin=\"bot\",state=\"closed\"}", "1x60"),
    ("sidenote_breaker_state{plugin=\"bot\",state=\"disabled\"}", "0x60"),
    ("sidenote_plugin_traps_total{plugin=\"bot\"}", "9x60"),
    ("sidenote_plugin_state{plugin=\"bot\",state=\"failed\"}", "0x60"),
    ("sidenote_store_state{state=\"away\"}", "0x60"),
    ("sidenote_journal_records", "0x60"),
    // What leaves the window before a conversation opens is as it should be.
    ("sidenote_actions_dropped_total{reason=\"window\"}", "0+5x60"),
];

/// A case for `promtool`: with these series, these alerts fire after an hour.
fn case<'a>(
    series: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
    fires: Option<&str>,
) -> String {
    let mut case = "  - interval: 1m\n    input_series:\n".to_owned();
    for (series, values) in series {
        writeln!(case, "      - series: '{series}'\n        values: '{values}'").expect("a text");
    }
    case.push_str("    promql_expr_test:\n      - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n        eval_time: 59m\n");
    if let Some(alert) = fires {
        let labels = format!("{{alertname=\"{alert}\"}}");
        writeln!(
            case,
            "        exp_samples:\n          - labels: '{labels}'\n            value: 1"
        )
        .expect("a text");
    }
    case
}

#[test]
fn each_alert_fires_for_its_own_fault_and_none_for_a_host_that_is_well() {
    let alerts = examples().join("alerts.yml");
    let text = std::fs::read_to_string(&alerts).expect("it is there");
    let named: BTreeSet<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(named, FAULTS.iter().map(|(alert, _)| *alert).collect(), "each has its fault");
    if !is_installed() {
        return;
    }
    let mut cases =
        format!("rule_files: [{:?}]\nevaluation_interval: 1m\ntests:\n", alerts.display());
    cases.push_str(&case(&WELL, None));
    for (alert, series) in FAULTS {
        let others = WELL.iter().filter(|(well, _)| {
            let of = |name: &str| name.split('{').next().map(str::to_owned);
            series.iter().all(|(fault, _)| of(fault) != of(well))
        });
        cases.push_str(&case(series.iter().chain(others), Some(alert)));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.yml");
    std::fs::write(&file, cases).expect("the folder is ours");
    assert_fine(&promtool(&["test", "rules", &file.to_string_lossy()], ""));
}
