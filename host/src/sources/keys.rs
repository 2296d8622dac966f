//! Where a request has its write key, and whose that is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use crate::config::WriteKey;
use crate::ids::ProductId;

/// The names in a query under which tools send it.
const IN_QUERY: [&str; 4] = ["writeKey", "api_key", "token", "key"];
/// The header for one's own programs.
const HEADER: &str = "x-sidenote-key";
/// So many texts of one request are looked at.
const MOST: usize = 8;

/// The keys of one source.
#[derive(Debug)]
pub(super) struct Keys(Vec<Known>);

#[derive(Debug)]
struct Known {
    name: String,
    product: ProductId,
    /// Hashes are of one length, so that comparing them tells nothing of the key's.
    hash: [u8; 32],
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its name in the configuration.
    pub name: String,
    /// The product whose events come with it.
    pub product: ProductId,
}

impl Keys {
    pub(super) fn of<'a>(keys: impl IntoIterator<Item = (&'a String, &'a WriteKey)>) -> Self {
        let known = |(name, key): (&String, &WriteKey)| Known {
            name: name.clone(),
            product: key.product.clone(),
            hash: hash(key.key.expose()),
        };
        Self(keys.into_iter().map(known).collect())
    }

    /// Whose it is, in constant time: what fits of a wrong one isn't told.
    pub(super) fn holder(&self, key: &str) -> Option<Holder> {
        let hash = hash(key);
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.hash.ct_eq(&hash)) {
                found = Some(Holder { name: known.name.clone(), product: known.product.clone() });
            }
        }
        found
    }

    /// Whose key stands in the usual places of a request's head; the first that is known.
    pub(super) fn holder_in(&self, query: &str, headers: &[(String, String)]) -> Option<Holder> {
        in_head(query, headers).iter().find_map(|key| self.holder(key))
    }
}

/// What stands in a request's head where keys do: the query, the name of Basic, Bearer, a header of our own.
fn in_head(query: &str, headers: &[(String, String)]) -> Vec<String> {
    let mut found: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, value)| IN_QUERY.contains(&&**name) && !value.is_empty())
        .take(MOST)
        .map(|(_, value)| value.into_owned())
        .collect();
    for (name, value) in headers {
        match name.as_str() {
            "authorization" => found.extend(in_authorization(value)),
            HEADER => found.push(value.trim().to_owned()),
            _ => {}
        }
    }
    found.retain(|key| !key.is_empty());
    found.truncate(MOST);
    found
}

fn in_authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(rest).or_else(|_| URL_SAFE.decode(rest)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.split_once(':').map_or(&*text, |(name, _)| name).to_owned())
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Secret;

    fn keys() -> Keys {
        let key = |key: &str, product: &str| WriteKey {
            key: Secret::new(key),
            product: ProductId::new(product).unwrap(),
        };
        let keys = BTreeMap::from([
            ("web".to_owned(), key("pk web", "acme")),
            ("jobs".to_owned(), key("sk", "beta")),
        ]);
        Keys::of(&keys)
    }

    fn found(query: &str, headers: &[(&str, &str)]) -> Option<String> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        keys().holder_in(query, &headers).map(|holder| holder.name)
    }

    #[test]
    fn a_key_is_found_in_each_of_its_places() {
        let web = Some("web".to_owned());
        for query in ["writeKey=pk%20web", "v=1&token=pk+web", "api_key=pk+web", "key=pk+web"] {
            assert_eq!(found(query, &[]), web, "{query}");
        }
        for header in [
            ("authorization", "Basic cGsgd2ViOg=="),
            ("authorization", "basic cGsgd2Vi"),
            ("authorization", "Bearer pk web"),
            ("x-sidenote-key", " pk web "),
        ] {
            assert_eq!(found("", &[header]), web, "{header:?}");
        }
    }

    #[test]
    fn the_first_that_is_known_counts_and_what_is_none_is_none() {
        assert_eq!(
            found("key=other&token=sk", &[("authorization", "Bearer pk web")]),
            Some("jobs".to_owned())
        );
        for (query, headers) in [
            ("", &[][..]),
            ("key=", &[("authorization", "Basic !!!")]),
            ("key=pk", &[("authorization", "Digest sk")]),
            ("Key=sk", &[("authorization", "sk"), ("x-key", "sk")]),
        ] {
            assert_eq!(found(query, headers), None, "{query} {headers:?}");
        }
        let many = "key=x&".repeat(100) + "key=sk";
        assert_eq!(found(&many, &[]), None, "so many are no mistake");
        assert!(!format!("{:?}", keys()).contains("sk"), "hashes alone");
    }
}
