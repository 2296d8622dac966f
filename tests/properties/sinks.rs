//! What the sinks saw: all that came in, each at least once, in order, under its key.

use std::collections::{BTreeMap, BTreeSet};

use sidenote::engine::{Decision, LaneKind};
use sidenote::outbox::sink_delivery::SinkDelivery;
use sidenote_tests::sinks;

use crate::attempts::{self, Sent, Try};
use crate::history::{
    Erasure, History, Order, action_in, action_line, session_of, summary_in, summary_line,
};
use crate::rows;
use crate::steps::{SESSIONS, SINKS};

/// A sink delivery, and what became of it.
struct Delivered {
    /// Where what it tells stands among all that was told.
    places: Vec<Place>,
    idempotency_key: String,
    sent: Sent,
}

/// An action's number, or that of the action behind a summary and the summary's.
type Place = (usize, usize);

/// The deliveries of one sink, session and time between two erasures, by their places in the lane.
type Lane = BTreeMap<u64, Delivered>;

pub(crate) async fn judge(history: &History) -> Result<(), String> {
    let mut lanes: BTreeMap<(&str, usize, usize), Lane> = BTreeMap::new();
    for (nth, handed) in history.platform.sinks.handed().into_iter().enumerate() {
        let seq = handed.delivery.seq;
        let delivered = entry(history, &mut lanes, &handed.delivery)?;
        let failed = handed.answer.err();
        delivered.sent.tries.push(Try { seq, nth, at: handed.at, end: handed.end, failed });
    }
    for session in 0..SESSIONS.len() {
        for letter in rows::dead_for_sinks(&history.store, session).await {
            entry(history, &mut lanes, &letter.note)?.sent.dead = true;
        }
    }
    let mut keys = BTreeSet::new();
    for sink in SINKS {
        for session in 0..SESSIONS.len() {
            for era in 0..=history.sessions[session].era {
                let lane = lanes.remove(&(sink, session, era)).unwrap_or_default();
                judge_lane(history, (sink, session, era), &lane, &mut keys)
                    .map_err(|error| format!("{sink}, session {session}, era {era}: {error}"))?;
            }
        }
    }
    Ok(())
}

fn entry<'a>(
    history: &History,
    lanes: &'a mut BTreeMap<(&'static str, usize, usize), Lane>,
    delivery: &SinkDelivery,
) -> Result<&'a mut Delivered, String> {
    let session = session_of(&delivery.key)?;
    let sink = SINKS.into_iter().find(|sink| *sink == &*delivery.plugin);
    let sink =
        sink.ok_or_else(|| format!("something for {:?}, which is no sink", delivery.plugin))?;
    let (mut places, mut eras) = (Vec::new(), BTreeSet::new());
    for line in sinks::lines(&delivery.content) {
        let (of, era, place) = place(history, &line)
            .ok_or_else(|| format!("it is handed {line:?}, which nobody told"))?;
        if of != session {
            return Err(format!("{line:?} of session {of} is handed over as session {session}'s"));
        }
        eras.insert(era);
        places.push(place);
    }
    let [era] = eras.into_iter().collect::<Vec<_>>()[..] else {
        return Err(format!(
            "number {} tells of what was told before and after an erasure",
            delivery.seq
        ));
    };
    let lane = lanes.entry((sink, session, era)).or_default();
    let delivered = lane.entry(delivery.seq).or_insert_with(|| Delivered {
        places: places.clone(),
        idempotency_key: delivery.idempotency_key.clone(),
        sent: Sent { seq: delivery.seq, tries: Vec::new(), dead: false },
    });
    if delivered.places != places || delivered.idempotency_key != delivery.idempotency_key {
        return Err(format!("number {} changed after it was handed over", delivery.seq));
    }
    Ok(delivered)
}

/// Whose a line is, from before which erasure, and its place.
fn place(history: &History, line: &str) -> Option<(usize, usize, Place)> {
    if let Some(n) = action_in(line) {
        let told = history.told.get(n)?;
        return Some((told.session, told.era, (n, usize::MAX)));
    }
    let n = summary_in(line.strip_prefix("summary: ")?)?;
    let told = history.summaries.get(n)?;
    Some((told.session, told.era, (told.behind, n)))
}

fn judge_lane(
    history: &History,
    (sink, session, era): (&str, usize, usize),
    lane: &Lane,
    keys: &mut BTreeSet<String>,
) -> Result<(), String> {
    let erasure = history.erasures.iter().find(|it| (it.session, it.era) == (session, era));
    let orders: Vec<&Order> = history
        .orders
        .iter()
        .filter(|it| (it.session, it.era, it.lane) == (session, era, LaneKind::Sink))
        .collect();
    let sent: Vec<_> = lane.values().map(|delivered| &delivered.sent).collect();
    attempts::judge(&sent, &history.ends, &orders, erasure.is_some())?;
    for delivered in lane.values() {
        if !keys.insert(delivered.idempotency_key.clone()) {
            return Err(format!("number {} has the key of another", delivered.sent.seq));
        }
        stays_erased(&delivered.sent, erasure)?;
    }
    let places: Vec<Place> = lane.values().flat_map(|delivered| delivered.places.clone()).collect();
    if let Some(pair) = places.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("{:?} comes behind {:?}", pair[1], pair[0]));
    }
    if erasure.is_some() {
        return Ok(());
    }
    let purged: BTreeSet<&String> = orders
        .iter()
        .filter(|order| order.decision == Decision::Purge)
        .flat_map(|order| order.named.values())
        .filter(|named| *named.plugin == *sink)
        .flat_map(|named| &named.lines)
        .collect();
    let handed: BTreeSet<Place> = places.into_iter().collect();
    let actions = history.told.iter().enumerate().filter(|(_, told)| told.accepted);
    let actions = actions.filter(|(_, told)| (told.session, told.era) == (session, era));
    let actions = actions.map(|(n, _)| ((n, usize::MAX), action_line(n)));
    let summaries = history.summaries.iter().enumerate().filter(|(_, told)| !told.stale);
    let summaries = summaries.filter(|(_, told)| (told.session, told.era) == (session, era));
    let summaries =
        summaries.map(|(n, told)| ((told.behind, n), format!("summary: {}", summary_line(n))));
    for (place, line) in actions.chain(summaries) {
        if !handed.contains(&place) && !purged.contains(&line) {
            return Err(format!("{line} was accepted and never handed over"));
        }
    }
    Ok(())
}

/// What was erased is handed over no more.
fn stays_erased(sent: &Sent, erasure: Option<&Erasure>) -> Result<(), String> {
    let is_late = |tried: &&Try| erasure.is_some_and(|it| tried.nth >= it.handed);
    match sent.tries.iter().find(is_late) {
        Some(tried) => Err(format!("number {} was handed over after it was erased", tried.seq)),
        None => Ok(()),
    }
}
