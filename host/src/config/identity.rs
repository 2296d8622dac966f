//! `[identity]`: which names mean somebody.

use std::sync::Arc;

use super::error::Fault;
use super::scalar;
use super::section::Section;
use crate::session::identity::Names;

const LIST: &str = "a list of values, for example [\"demo-user\"]";

/// `[identity]`.
pub(super) fn names(section: Section<'_>) -> Arc<Names> {
    let nobody = section.list("nobody", LIST, scalar::text).unwrap_or_default();
    let somebody = section.list("somebody", LIST, scalar::text).unwrap_or_default();
    let uuids = section.scalar_or("uuid_user_ids", false, scalar::boolean);
    let further = Names::default().with_list(nobody.iter().map(|(_, value)| &**value), []);
    let refuse = |place, cause: String, next: &str| {
        let fault = Fault::BadValue { key: "somebody".to_owned(), cause, next: next.to_owned() };
        section.report(place, fault);
    };
    for (place, value) in &somebody {
        let alone = Names::default().with_list([], [&**value]);
        if !alone.names_somebody(value) {
            let next = "leave it out: blanks never name anybody";
            refuse(place.clone(), format!("{value:?} says nothing"), next);
        } else if nobody.iter().any(|(_, other)| other == value) {
            let next = "leave it out of one of them";
            refuse(place.clone(), format!("{value:?} stands in `nobody` too"), next);
        } else if further.names_somebody(value)
            && (!value.contains('@') || further.is_somebodys_address(value))
        {
            let next = "leave it out; only what names nobody by default needs to stand here";
            refuse(place.clone(), format!("{value:?} names somebody anyway"), next);
        }
    }
    section.finish();
    let names = Names::default().with_list(
        nobody.iter().map(|(_, value)| &**value),
        somebody.iter().map(|(_, value)| &**value),
    );
    Arc::new(names.with_uuids_of_people(uuids))
}
