//! What a guest can ask of the host: `config`, `log`, `http`, `crypto`, `kv`, `timer`.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tracing::Level;

use super::bindings::v0_1::sidenote::plugin::{config, crypto, http as wit, kv, log, timer, types};
use super::clean::clean;
use super::hmac;
use super::instance::State;
use super::outbound::Outbound;
use crate::egress::{Incoming, Outgoing, SendError};

const MAX_HEADERS: usize = 128;

impl types::Host for State {}

impl config::Host for State {
    fn get(&mut self, key: String) -> Option<String> {
        self.ground.config.get(&key).cloned()
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            log::Level::Trace => Level::TRACE,
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        self.log.line(level, &message, &fields);
    }
}

impl crypto::Host for State {
    fn hmac_sign(
        &mut self,
        secret: String,
        hash: crypto::Hash,
        encoding: crypto::Encoding,
        data: Vec<u8>,
    ) -> Result<String, String> {
        Ok(hmac::sign(self.key(&secret)?, hash, encoding, &data))
    }

    fn hmac_verify(
        &mut self,
        secret: String,
        hash: crypto::Hash,
        encoding: crypto::Encoding,
        data: Vec<u8>,
        signature: String,
    ) -> Result<bool, String> {
        let fits = hmac::verify(self.key(&secret)?, hash, encoding, &data, &signature);
        if fits {
            self.verified.add(&secret, &data);
        }
        Ok(fits)
    }
}

impl State {
    /// The key of a secret, to sign and verify with.
    fn key(&self, secret: &str) -> Result<&[u8], String> {
        self.ground.egress.secret_store().key(secret).map_err(|error| error.to_string())
    }
}

impl wit::Host for State {
    async fn send(&mut self, request: wit::Request) -> Result<wit::Response, wit::Error> {
        let started = Instant::now();
        let request = outgoing(request, &self.outbound).map_err(|error| failed(&error))?;
        let outcome = self.outbound.send(request, &mut self.alarm).await;
        self.cpu.waited(started.elapsed());
        outcome.map(response).map_err(|error| failed(&error))
    }
}

impl kv::Host for State {
    async fn get(&mut self, scope: kv::Scope, key: String) -> Result<Option<Vec<u8>>, kv::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let value = self.kv.get(&ground, scope.into(), &key).await;
        self.cpu.waited(started.elapsed());
        value
    }

    async fn set(
        &mut self,
        scope: kv::Scope,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), kv::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let set = self.kv.set(&ground, scope.into(), &key, value).await;
        self.cpu.waited(started.elapsed());
        set
    }

    async fn delete(&mut self, scope: kv::Scope, key: String) -> Result<(), kv::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let deleted = self.kv.delete(&ground, scope.into(), &key).await;
        self.cpu.waited(started.elapsed());
        deleted
    }

    async fn list_keys(
        &mut self,
        scope: kv::Scope,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<kv::Page, kv::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let listed = self.kv.list(&ground, scope.into(), &prefix, after.as_deref(), limit).await;
        self.cpu.waited(started.elapsed());
        listed
    }
}

impl timer::Host for State {
    async fn set(
        &mut self,
        name: String,
        moment: timer::Moment,
        payload: Vec<u8>,
    ) -> Result<(), timer::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let set = self.kv.set_timer(&ground, &name, moment, payload).await;
        self.cpu.waited(started.elapsed());
        set
    }

    async fn cancel(&mut self, name: String) -> Result<(), timer::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let cancelled = self.kv.cancel_timer(&ground, &name).await;
        self.cpu.waited(started.elapsed());
        cancelled
    }

    async fn list_timers(&mut self) -> Result<Vec<timer::Waiting>, timer::Error> {
        let (started, ground) = (Instant::now(), self.ground.clone());
        let listed = self.kv.list_timers(&ground).await;
        self.cpu.waited(started.elapsed());
        listed
    }
}

fn outgoing(request: wit::Request, outbound: &Outbound) -> Result<Outgoing, SendError> {
    let invalid = |what: String| SendError::Invalid(what);
    let method = http::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| invalid("the method is none".to_owned()))?;
    if request.headers.len() > MAX_HEADERS {
        return Err(invalid(format!("there are more than {MAX_HEADERS} headers")));
    }
    // And for the host's own: trace, kind of answer, agent, host and length.
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 6);
    for (name, value) in request.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("`{}` is no header name", clean(&name, 64))))?;
        // The value may hold a person's text: it stays out of the message.
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).map_err(|_| {
            invalid(format!(
                "the value of the header `{header}` holds a line break or a control character"
            ))
        })?;
        headers.append(header, value);
    }
    Ok(Outgoing {
        method,
        url: request.url,
        headers,
        body: request.body.into(),
        secrets_in_body: request.secrets_in_body,
        timeout: outbound
            .clamp(request.timeout_ms.map(|ms| std::time::Duration::from_millis(ms.into()))),
    })
}

fn response(incoming: Incoming) -> wit::Response {
    let text = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    wit::Response {
        status: incoming.status,
        headers: incoming
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body: incoming.body.into(),
    }
}

fn failed(error: &SendError) -> wit::Error {
    let kind = match error {
        SendError::Denied(_) => wit::ErrorKind::Denied,
        SendError::Secret(_) => wit::ErrorKind::Secret,
        SendError::Invalid(_) => wit::ErrorKind::Invalid,
        SendError::Connect { .. } => wit::ErrorKind::Connect,
        SendError::Timeout { .. } => wit::ErrorKind::Timeout,
        SendError::TooLarge { .. } => wit::ErrorKind::TooLarge,
        SendError::Broken { .. } => wit::ErrorKind::Io,
    };
    let sent = if error.may_have_arrived() { types::Sent::Unknown } else { types::Sent::NotSent };
    wit::Error { kind, message: error.to_string(), sent }
}
