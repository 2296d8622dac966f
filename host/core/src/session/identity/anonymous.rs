//! Ids that an analytics tool makes for a browser of which it knows nobody yet.

/// Whether an id has the form of one that an analytics tool made: a UUID of whichever version, also with the
/// letter that Amplitude puts behind it, without hyphens, or as older libraries of PostHog and Mixpanel wrote
/// it; PostHog's of its cookieless mode; Mixpanel's of a device; Google Analytics' client id.
pub(super) fn is_made(id: &str) -> bool {
    let id = id.trim().to_ascii_lowercase();
    if id.starts_with("cookieless_") || id.starts_with("$device:") {
        return true;
    }
    is_uuid(id.strip_suffix('r').unwrap_or(&id)) || is_client_id(&id)
}

/// 32 hexadecimal digits or more, in five groups or in one.
fn is_uuid(id: &str) -> bool {
    let groups = id.split('-');
    let digits: usize = groups.clone().map(str::len).sum();
    let are_hex = groups
        .clone()
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match groups.count() {
        1 => are_hex && digits == 32,
        5 => are_hex && (32..=80).contains(&digits),
        _ => false,
    }
}

/// `123456789.1700000000`, or the cookie with it: `GA1.2.123456789.1700000000`.
fn is_client_id(id: &str) -> bool {
    let id = match id.strip_prefix("ga1.") {
        Some(rest) => rest.split_once('.').map_or(rest, |(_, id)| id),
        None => id,
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    id.split_once('.').is_some_and(|(random, at)| {
        (5..=10).contains(&random.len()) && at.len() == 10 && is_number(random) && is_number(at)
    })
}
