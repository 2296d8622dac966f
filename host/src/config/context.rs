//! `[context]`.

use super::model::{Context, History, Retention};
use super::scalar::{self, Refusal, Scalar};
use super::section::Section;

/// `[context]`: off where the table isn't there. What is kept goes with its session at the latest.
pub(super) fn context(section: Section<'_>, retention: &Retention) -> Option<Context> {
    let default = Context::default();
    let enabled = section.scalar_or("enabled", section.is_present(), scalar::boolean);
    let keep = section.scalar("keep", scalar::duration);
    if let Some(keep) = keep
        && keep > retention.sessions
    {
        section.refuse(
            "keep",
            format!("{keep:?} is longer than `sessions` in [retention] ({:?})", retention.sessions),
            "write less, or keep sessions for longer",
        );
    }
    let history = History {
        keep: keep.unwrap_or(default.history.keep).min(retention.sessions),
        max_actions: section.scalar_or("keep_actions", default.history.max_actions as usize, items)
            as u64,
        max_bytes: section.scalar_or("keep_bytes", default.history.max_bytes, scalar::size),
    };
    let context = Context {
        lookback: section.scalar_or("lookback", default.lookback, scalar::duration),
        max_actions: section.scalar("max_actions", items).or(default.max_actions),
        max_sessions: section.scalar_or("max_sessions", default.max_sessions, items),
        max_bytes: section.scalar_or("max_bytes", default.max_bytes, scalar::size),
        max_users: section.scalar_or("max_users", default.max_users, items),
        max_sessions_per_user: section.scalar_or(
            "max_sessions_per_user",
            default.max_sessions_per_user,
            items,
        ),
        include_summary: section.scalar_or(
            "include_summary",
            default.include_summary,
            scalar::boolean,
        ),
        include_actions: section.scalar_or(
            "include_actions",
            default.include_actions,
            scalar::boolean,
        ),
        history,
    };
    section.in_order(("lookback", context.lookback), ("keep", context.history.keep));
    section.finish();
    enabled.then_some(context)
}

fn items(value: Scalar<'_>) -> Result<usize, Refusal> {
    scalar::up_to(value, 1_000_000).map(|number| number as usize)
}
