//! From the configuration to a queue and the task that empties it.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Traces;
use super::context::attribute;
use super::export::{Exporter, Queue};
use crate::clock::Clock;
use crate::config;
use crate::http_client::{self, PLAIN, describe};

/// Why nothing can be traced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TracesError {
    /// The HTTP client can't be set up.
    #[error("traces: the HTTP client can't be set up: {0}; check the system's certificates")]
    Client(String),
    /// A header can't be sent.
    #[error(
        "traces: the header \"{0}\" can't be sent; check its name and its secret in [traces.headers]"
    )]
    Header(String),
}

impl Traces {
    /// What `[traces]` asks for, and what is to be run so that spans get there. Nothing is connected to.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn of(config: &config::Traces, clock: Clock) -> Result<(Self, Exporter), TracesError> {
        let client = http_client::builder(&config.endpoint).build();
        let client = client.map_err(|error| TracesError::Client(describe(error)))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(PLAIN));
        let bearer = config
            .token
            .iter()
            .map(|token| (AUTHORIZATION.as_str().to_owned(), format!("Bearer {}", token.expose())));
        let further = config.headers.iter();
        let further = further.map(|(name, value)| (name.clone(), value.expose().to_owned()));
        for (name, value) in bearer.chain(further) {
            let odd = || TracesError::Header(name.clone());
            let header = HeaderName::try_from(&name).map_err(|_| odd())?;
            let mut value = HeaderValue::try_from(value).map_err(|_| odd())?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let text = |value: &str| Value::StringValue(value.to_owned());
        let resource = Resource {
            attributes: vec![
                attribute("service.name", text(&config.service_name)),
                attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
            ],
            ..Default::default()
        };
        let (queue, spans) = Queue::new();
        let traces = Self::into(queue.clone(), config.sample, clock);
        let url = config.endpoint.clone();
        Ok((traces, Exporter { queue, spans, client, url, headers, resource, clock }))
    }
}
