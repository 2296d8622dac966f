//! Requests to one registry: where they go, what goes with them, how much of the answers is read.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, redirect};
use serde::Deserialize;
use url::Url;

use super::challenge::{self, Challenge, Clear};
use super::error::RegistryError;
use crate::config::{Credentials, Reference, RegistryAccess};
use crate::http_client::{self, PLAIN, describe};

/// How long a registry may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// Blobs often lie behind one redirect, at a store of files.
const REDIRECTS: usize = 5;
/// What is read of an answer that is no content: an error, a token.
const AROUND: u64 = 64 << 10;
/// What is told of a registry's own words.
const TOLD: usize = 200;

/// What is asked of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To read.
    Pull,
    /// To read and to write.
    Push,
}

impl Scope {
    fn of(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

/// One registry. Who asks is told to it alone, and to where it says that its tokens are had.
pub struct Client {
    http: reqwest::Client,
    host: String,
    origin: Url,
    clear: Clear,
    credentials: Option<Credentials>,
    /// What it accepted last.
    authorization: Mutex<Option<HeaderValue>>,
}

/// The answer to a request: its head, and a body that has yet to be read.
pub struct Answer<'a> {
    response: Response,
    client: &'a Client,
}

impl Client {
    /// A client for the registry that `reference` names. Nothing is connected to. Without TLS only where the registry is
    /// on this machine, or where `access` says so.
    ///
    /// # Errors
    /// The system's TLS can't be set up.
    pub fn new(reference: &Reference, access: &RegistryAccess) -> Result<Self, RegistryError> {
        let host = reference.host.clone();
        let local = reference.is_on_this_machine();
        let clear = match (access.plain_http, local) {
            (true, _) => Clear::Anywhere,
            (false, true) => Clear::ThisMachine,
            (false, false) => Clear::Nowhere,
        };
        let scheme = if clear == Clear::Nowhere { "https" } else { "http" };
        let setup = |cause: String| RegistryError::Client(cause);
        let at = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|error| setup(error.to_string()))
        };
        let origin = at(scheme)?;
        // A store of files behind a registry without TLS may have some.
        let rooted = at(if local { "http" } else { "https" })?;
        let follow = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS {
                return attempt.error(format!("it leads on more than {REDIRECTS} times"));
            }
            if !clear.allows(attempt.url()) {
                return attempt.error("it leads to an address without TLS");
            }
            attempt.follow()
        });
        let http = http_client::builder(&rooted).redirect(follow).read_timeout(SILENCE).build();
        let http = http.map_err(|error| setup(describe(error)))?;
        let credentials = access.credentials.clone();
        Ok(Self { http, host, origin, clear, credentials, authorization: Mutex::default() })
    }

    /// The registry's address of a path below `/v2/`.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(&format!("/v2/{path}"));
        url
    }

    /// The registry.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request, again with a token or a password where the registry asks for one. The body is sent each time.
    ///
    /// # Errors
    /// It can't be reached, or refuses who asks. Other statuses are an answer.
    pub async fn send(
        &self,
        (method, url): (Method, Url),
        headers: &HeaderMap,
        body: Bytes,
        (scope, repository): (Scope, &str),
    ) -> Result<Answer<'_>, RegistryError> {
        let ask = |authorization| self.once((&method, &url), headers, body.clone(), authorization);
        let before = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let response = ask(before).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_ours(&url) {
            return Ok(Answer { response, client: self });
        }
        let challenge = Challenge::of(response.headers());
        drop(response);
        let authorization = self.answer_to(challenge, scope, repository).await?;
        let response = ask(Some(authorization.clone())).await?;
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(self.refused(status, scope))
            }
            _ => {
                let mut accepted =
                    self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
                *accepted = Some(authorization);
                Ok(Answer { response, client: self })
            }
        }
    }

    async fn once(
        &self,
        (method, url): (&Method, &Url),
        headers: &HeaderMap,
        body: Bytes,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
        request = request.header(ACCEPT_ENCODING, PLAIN);
        // An upload may go on elsewhere; whoever is there gets the content and nothing else.
        if let Some(authorization) = authorization.filter(|_| self.is_ours(url)) {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(body).send().await.map_err(|error| self.away(error))
    }

    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.origin.origin()
    }

    async fn answer_to(
        &self,
        challenge: Option<Challenge>,
        scope: Scope,
        repository: &str,
    ) -> Result<HeaderValue, RegistryError> {
        let unsafe_ = |cause: String| RegistryError::Unsafe { host: self.host.clone(), cause };
        let unusable = || unsafe_("can't be told that user and password".to_owned());
        let (realm, service) = match (challenge, &self.credentials) {
            (Some(Challenge::Bearer { realm, service }), _) => (realm, service),
            (Some(Challenge::Basic), Some(credentials)) => {
                return challenge::basic(credentials).ok_or_else(unusable);
            }
            (Some(Challenge::Basic), None) | (None, None) => return Err(self.unknown()),
            (None, Some(_)) => {
                return Err(unsafe_(
                    "asks for something other than a password or a token".to_owned(),
                ));
            }
        };
        let scope_text = scope.of(repository);
        let url = challenge::address(&realm, service.as_deref(), &scope_text, self.clear);
        let mut request = self.http.get(url.map_err(unsafe_)?).header(ACCEPT_ENCODING, PLAIN);
        if let Some(credentials) = &self.credentials {
            let basic = challenge::basic(credentials).ok_or_else(unusable)?;
            request = request.header(AUTHORIZATION, basic);
        }
        let response = request.send().await.map_err(|error| self.away(error))?;
        let answer = Answer { response, client: self };
        match answer.response.status() {
            StatusCode::OK => {
                let body = answer.body(AROUND, "the token").await?;
                challenge::bearer(&body)
                    .ok_or_else(|| unsafe_("gives a token that can't be sent".to_owned()))
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(self.refused(status, scope))
            }
            _ => Err(answer.unexpected().await),
        }
    }

    fn refused(&self, status: StatusCode, scope: Scope) -> RegistryError {
        if self.credentials.is_none() {
            return self.unknown();
        }
        let (host, status) = (self.host.clone(), status.as_u16());
        RegistryError::Refused { host, status, what: scope.told() }
    }

    fn unknown(&self) -> RegistryError {
        RegistryError::Unknown { host: self.host.clone() }
    }

    fn away(&self, error: reqwest::Error) -> RegistryError {
        RegistryError::Away { host: self.host.clone(), cause: describe(error) }
    }
}

impl Answer<'_> {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Where the answer came from in the end.
    pub fn url(&self) -> &Url {
        self.response.url()
    }

    /// Reads the body. `what` names it where it is too large.
    ///
    /// # Errors
    /// It has more than `most` bytes, or it breaks off.
    pub async fn body(self, most: u64, what: &'static str) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge { what, limit: most };
        if self.response.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let (mut body, mut stream) = (Vec::new(), self.response.bytes_stream());
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| self.client.away(error))?;
            if body.len() as u64 + piece.len() as u64 > most {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The error of an answer that is none that was hoped for, with the registry's own words where it has some.
    pub async fn unexpected(self) -> RegistryError {
        let (host, status) = (self.client.host.clone(), self.status().as_u16());
        let message = self.body(AROUND, "the answer").await.map(|body| words(&body));
        RegistryError::Answer { host, status, message: message.unwrap_or_default() }
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says is wrong, with a colon before it; nothing of what isn't in the form of one.
fn words(body: &[u8]) -> String {
    let errors = serde_json::from_slice(body).map(|Errors { errors }| errors).unwrap_or_default();
    let Some(Reason { code, message }) = errors.into_iter().next() else { return String::new() };
    let told = format!(": {code} {message}");
    told.chars().filter(|c| !c.is_control()).take(TOLD).collect::<String>().trim_end().to_owned()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.host).finish_non_exhaustive()
    }
}
