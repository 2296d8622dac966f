//! Who asks for a page, and what a form of theirs said.

use super::login::Caller;
use super::logins::LoginId;

/// The field of a form that holds its token.
pub(super) const FORM_TOKEN: &str = "form_token";

/// Who asks for a page.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// For the forms of the page.
    pub(super) form_token: String,
    pub(super) id: LoginId,
}

/// What a form said, once its token was found to be right.
#[derive(Clone)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body.
    pub(super) fn of(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field that is there once.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let (first, None) = (values.next()?, values.next()) else { return None };
        Some(&first.1)
    }

    /// All fields but the token.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.0.iter().filter(|(name, _)| name != FORM_TOKEN);
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
