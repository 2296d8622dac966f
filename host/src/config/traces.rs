//! `[traces]`.

use std::collections::BTreeMap;

use toml::de::DeValue;
use url::Url;

use super::scalar::{self, Refusal, Scalar};
use super::secret::{self, Secret};
use super::section::Section;

/// `[traces]`: the collector that is sent spans by OTLP over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The whole address, for example `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: Url,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Further headers, for collectors that know callers by other ones.
    pub headers: BTreeMap<String, Secret>,
    /// The share of deliveries that is traced, from 0 to 1.
    pub sample: f64,
    /// What the collector knows this host by.
    pub service_name: String,
}

/// `[traces]`; `None` where it isn't there.
pub(super) fn traces(section: Section<'_>) -> Option<Traces> {
    if !section.is_present() {
        return None;
    }
    let example = "endpoint = \"http://127.0.0.1:4318/v1/traces\"";
    let endpoint = section.required("endpoint", example, |value| {
        scalar::web_address(value).map_err(|refusal| match refusal {
            Refusal::Value { cause, .. } => Refusal::value(
                cause,
                "write an address such as \"http://127.0.0.1:4318/v1/traces\"",
            ),
            other @ Refusal::Type { .. } => other,
        })
    });
    let plaintext_allowed = section.scalar_or("allow_plaintext", false, scalar::boolean);
    if let Some(url) = &endpoint
        && url.scheme() == "http"
        && !plaintext_allowed
        && !scalar::is_loopback(url)
    {
        section.refuse(
            "endpoint",
            "http:// to another machine lets everyone on the way read the token",
            "use https://, or set allow_plaintext = true in this table if the network is private",
        );
    }
    let token = secret::bearer(&section, "token");
    let headers = section.section("headers");
    let named: BTreeMap<_, _> = headers
        .names()
        .into_iter()
        .filter_map(|name| Some((name.clone(), secret::bearer(&headers, &name)?)))
        .collect();
    headers.finish();
    let sample = section.scalar_or("sample", 1.0, share);
    let service_name = section.scalar_or("service_name", "sidenote".to_owned(), scalar::text);
    section.finish();
    Some(Traces { endpoint: endpoint?, token, headers: named, sample, service_name })
}

/// A share, from 0 to 1.
fn share(value: Scalar<'_>) -> Result<f64, Refusal> {
    let number = match value {
        Scalar::Toml(DeValue::Integer(number)) => scalar::decimal(number).parse().ok(),
        Scalar::Toml(DeValue::Float(number)) => number.as_str().parse().ok(),
        Scalar::Toml(other) => {
            return Err(Refusal::Type {
                found: scalar::type_name(other),
                want: "a share, from 0 to 1".to_owned(),
            });
        }
        Scalar::Variable(text) => text.parse().ok(),
        Scalar::Asked(shape) => {
            let share = serde_json::json!({"type": "number", "minimum": 0, "maximum": 1});
            return Err(scalar::asked(shape, share));
        }
    };
    match number {
        Some(number) if (0.0..=1.0).contains(&number) => Ok(number),
        Some(_) | None => Err(Refusal::value(
            "it isn't a share from 0 to 1",
            "write, for example, 0.1 for every tenth delivery",
        )),
    }
}
