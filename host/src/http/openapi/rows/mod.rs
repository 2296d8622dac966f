//! The operations, by what they are about.

mod deliveries;
mod host;
mod sessions;
mod users;

use super::operation::Schemas;
use super::{Operation, Row};

/// All of them. A test holds that each method of the table of routes is here, and nothing else.
pub(super) fn all(schemas: &mut Schemas) -> Vec<Row> {
    let mut rows = deliveries::rows(schemas);
    rows.extend(host::rows(schemas));
    rows.extend(sessions::rows());
    rows.extend(users::rows(schemas));
    rows
}
