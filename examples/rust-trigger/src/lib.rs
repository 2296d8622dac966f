//! A Sidenote plugin that says when to offer help: somebody does the same thing again and again.

use serde::Deserialize;
use sidenote_plugin::help::{Offer, TriggerContext};
use sidenote_plugin::{Action, Trigger, config, log};

/// The plugin.
pub struct Again;

/// The operator's settings.
#[derive(Deserialize)]
struct Settings {
    clicks: Option<usize>,
    seconds: Option<f64>,
    text: Option<String>,
}

impl Trigger for Again {
    fn evaluate(context: TriggerContext) -> Option<Offer> {
        let settings: Settings = match config::load() {
            Ok(settings) => settings,
            Err(failure) => {
                log::error!("{}", failure.message);
                return None;
            }
        };
        let (clicks, seconds) = (settings.clicks.unwrap_or(4), settings.seconds.unwrap_or(10.0));
        is_stuck(&context.actions, clicks, seconds).then(|| {
            let text = settings.text.as_deref().unwrap_or("Is something not working? We can help.");
            Offer::new(text).quick_reply("yes", "Yes, please").quick_reply("no", "No, thanks")
        })
    }
}

/// Whether the last actions are one and the same, so many of them within so many seconds of each other.
fn is_stuck(actions: &[Action], clicks: usize, seconds: f64) -> bool {
    let Some(last) = actions.last() else { return false };
    let same = |it: &&Action| {
        it.description == last.description && it.canonical_url == last.canonical_url
    };
    let row: Vec<_> = actions.iter().rev().take_while(same).take(clicks).collect();
    let times: Option<Vec<f64>> = row.iter().map(|action| action.started_at).collect();
    // Without times nobody knows how fast it was.
    let Some(times) = times else { return false };
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let latest = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    clicks >= 2 && row.len() == clicks && latest - first <= seconds
}

sidenote_plugin::export!(Again: Trigger; manifest = include_str!("../manifest.json"));

#[cfg(test)]
mod tests;
