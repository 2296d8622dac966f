//! A registry that misbehaves. The real one is in `tests/cli/registries`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::layout::{self, MAX_MANIFEST_BYTES};
use super::{Pulled, RegistryError};
use crate::config::{Credentials, Reference, RegistryAccess, Secret, Sha256};

const COMPONENT: &[u8] = b"\0asm of sorts";
const MOST: u64 = 1 << 20;

type Answering = dyn Fn(&Asked) -> Response + Send + Sync;

/// All that was asked, in order.
type Log = Arc<Mutex<Vec<Asked>>>;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    path: String,
    query: String,
    authorization: Option<String>,
}

struct Registry {
    addr: SocketAddr,
    asked: Log,
    _serving: JoinSet<()>,
}

impl Registry {
    /// One that answers so.
    async fn answering(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let answer: Arc<Answering> = Arc::new(answer);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state((asked.clone(), answer));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, asked, _serving: serving }
    }

    fn reference(&self, version: &str) -> Reference {
        Reference::parse(&format!("{}/acme/desk{version}", self.addr)).unwrap()
    }

    async fn pull(&self, version: &str, password: Option<&str>) -> Result<Pulled, RegistryError> {
        let credentials = password.map(|password| Credentials {
            user: "ann".to_owned(),
            password: Secret::new(password),
        });
        let access = RegistryAccess { credentials, plain_http: false };
        Pulled::pull(&self.reference(version), &access, MOST).await
    }

    /// Who was told who asks: path and header.
    fn told(&self) -> Vec<(String, Option<String>)> {
        let asked = self.asked.lock().unwrap().clone();
        asked.into_iter().map(|it| (it.path, it.authorization)).collect()
    }
}

async fn take(State((asked, answer)): State<(Log, Arc<Answering>)>, request: Request) -> Response {
    let authorization = request.headers().get(AUTHORIZATION);
    let this = Asked {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorization: authorization.map(|it| it.to_str().unwrap().to_owned()),
    };
    asked.lock().unwrap().push(this.clone());
    answer(&this)
}

fn manifest() -> Vec<u8> {
    layout::write(COMPONENT, b"{}", None, BTreeMap::new())
}

fn digest() -> Sha256 {
    layout::hash(&manifest())
}

fn by_digest() -> String {
    format!("@sha256:{}", digest())
}

/// The right content.
fn honest(asked: &Asked) -> Response {
    if asked.path.contains("/manifests/") {
        manifest().into_response()
    } else {
        COMPONENT.into_response()
    }
}

fn unauthorized(challenge: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge.to_owned())]).into_response()
}

/// A body that never ends and doesn't say how long it is.
fn endless() -> Response {
    let pieces = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4096])));
    Body::from_stream(pieces).into_response()
}

#[tokio::test]
async fn what_fits_its_digests_is_given_out() {
    let registry = Registry::answering(honest).await;
    for version in [":1", &by_digest()] {
        let pulled = registry.pull(version, None).await.unwrap();
        assert_eq!((pulled.digest, &*pulled.component), (digest(), COMPONENT), "{version}");
        assert_eq!(pulled.manifest, manifest());
    }
    assert!(registry.told().iter().all(|(_, authorization)| authorization.is_none()));
}

#[tokio::test]
async fn another_content_is_refused_whatever_of_it_is_another() {
    let other = Registry::answering(|asked| match asked.path.contains("/manifests/") {
        true => layout::write(b"other", b"{}", None, BTreeMap::new()).into_response(),
        false => b"other".into_response(),
    })
    .await;
    let refused = other.pull(&by_digest(), None).await.unwrap_err();
    assert!(
        matches!(refused, RegistryError::Tampered { what: "the manifest", wanted, .. } if wanted == digest()),
        "{refused}"
    );
    for body in [&b"\0asm of sortz"[..], b"", b"\0asm"] {
        let changed = Registry::answering(move |asked| match asked.path.contains("/blobs/") {
            true => body.into_response(),
            false => honest(asked),
        });
        let refused = changed.await.pull(":1", None).await.unwrap_err();
        assert!(
            matches!(refused, RegistryError::Tampered { what: "the component", .. }),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn nothing_is_read_without_end() {
    let endless_manifest = Registry::answering(|_| endless()).await;
    let refused = endless_manifest.pull(":1", None).await.unwrap_err();
    let limit = MAX_MANIFEST_BYTES;
    assert_eq!(refused, RegistryError::TooLarge { what: "the manifest", limit });

    let endless_component = Registry::answering(|asked| match asked.path.contains("/blobs/") {
        true => endless(),
        false => honest(asked),
    });
    let refused = endless_component.await.pull(":1", None).await.unwrap_err();
    let limit = COMPONENT.len() as u64;
    assert_eq!(refused, RegistryError::TooLarge { what: "the component", limit });

    let huge = Registry::answering(|_| {
        let text = String::from_utf8(manifest()).unwrap();
        let size = format!("\"size\":{}", COMPONENT.len());
        text.replace(&size, "\"size\":1048577").into_response()
    });
    let refused = huge.await.pull(":1", None).await.unwrap_err();
    assert_eq!(refused, RegistryError::TooLarge { what: "the component", limit: MOST });

    let endless_error =
        Registry::answering(|_| (StatusCode::BAD_GATEWAY, endless()).into_response());
    let refused = endless_error.await.pull(":1", None).await.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::Answer { status: 502, message, .. } if message.is_empty())
    );
}

#[tokio::test]
async fn the_password_goes_where_it_is_asked_for_and_only_then() {
    let registry = Registry::answering(|asked| match asked.authorization.as_deref() {
        Some("Basic YW5uOmhlcnM=") => honest(asked),
        _ => unauthorized("Basic realm=\"r\""),
    })
    .await;
    registry.pull(":1", Some("hers")).await.unwrap();
    let told: Vec<_> = registry.told().into_iter().map(|(_, told)| told.is_some()).collect();
    assert_eq!(told, [false, true, true], "asked, then with the password, then at once with it");
    let refused = registry.pull(":1", Some("his")).await.unwrap_err();
    assert!(
        matches!(refused, RegistryError::Refused { status: 401, what: "pull", .. }),
        "{refused}"
    );
    assert!(!format!("{refused} {refused:?}").contains("his\""), "{refused:?}");
    let unknown = registry.pull(":1", None).await.unwrap_err();
    assert!(matches!(unknown, RegistryError::Unknown { .. }), "{unknown}");
}

#[tokio::test]
async fn a_token_is_had_for_the_password_and_for_this_repository() {
    let own = Arc::new(Mutex::new(String::new()));
    let realm = own.clone();
    let registry = Registry::answering(move |asked| match &*asked.path {
        "/token" if asked.authorization.as_deref() == Some("Basic YW5uOmhlcnM=") => {
            r#"{"token":"t-1"}"#.into_response()
        }
        "/token" => StatusCode::UNAUTHORIZED.into_response(),
        _ if asked.authorization.as_deref() == Some("Bearer t-1") => honest(asked),
        _ => unauthorized(&realm.lock().unwrap()),
    })
    .await;
    *own.lock().unwrap() = format!(
        r#"Bearer realm="http://{}/token",service="r",scope="registry:catalog:*""#,
        registry.addr
    );
    registry.pull(":1", Some("hers")).await.unwrap();
    let asked = registry.asked.lock().unwrap().iter().find(|it| it.path == "/token").cloned();
    let wanted = "service=r&scope=repository%3Aacme%2Fdesk%3Apull";
    assert_eq!(asked.unwrap().query, wanted, "nothing that the registry wishes for");
    let refused = registry.pull(":1", Some("his")).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Refused { status: 401, .. }), "{refused}");
}

#[tokio::test]
async fn a_token_that_cant_be_one_or_has_no_end_is_refused() {
    for (nth, wanted) in ["can't be sent", "can't be sent", "more than"].into_iter().enumerate() {
        let own = Arc::new(Mutex::new(String::new()));
        let realm = own.clone();
        let registry = Registry::answering(move |asked| match (&*asked.path, nth) {
            ("/token", 0) => r#"{"token":"a\nb"}"#.into_response(),
            ("/token", 1) => "<html>".into_response(),
            ("/token", _) => endless(),
            _ => unauthorized(&realm.lock().unwrap()),
        })
        .await;
        *own.lock().unwrap() = format!("Bearer realm=\"http://{}/token\"", registry.addr);
        let refused = registry.pull(":1", Some("hers")).await.unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
}

#[tokio::test]
async fn elsewhere_nobody_is_told_who_asks_and_there_is_an_end_to_it() {
    let elsewhere = Registry::answering(|_| COMPONENT.into_response()).await;
    let to = format!("http://{}/store", elsewhere.addr);
    let registry = Registry::answering(move |asked| {
        if asked.authorization.is_none() {
            unauthorized("Basic realm=\"r\"")
        } else if asked.path.contains("/blobs/") {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to.clone())]).into_response()
        } else {
            honest(asked)
        }
    })
    .await;
    registry.pull(":1", Some("hers")).await.unwrap();
    assert_eq!(elsewhere.told(), [("/store".to_owned(), None)]);

    let round = Registry::answering(|asked| {
        (StatusCode::FOUND, [(LOCATION, format!("{}x", asked.path))]).into_response()
    })
    .await;
    let refused = round.pull(":1", None).await.unwrap_err().to_string();
    assert!(refused.contains("leads on more than 5 times"), "{refused}");
    assert_eq!(round.told().len(), 6);
}

#[tokio::test]
async fn what_a_registry_says_is_told_in_one_line() {
    let registry = Registry::answering(|asked| match asked.path.ends_with("/gone") {
        true => StatusCode::NOT_FOUND.into_response(),
        false => (
            StatusCode::TOO_MANY_REQUESTS,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\ndown \u001b[31m"}]}"#,
        )
            .into_response(),
    })
    .await;
    let told = registry.pull(":1", None).await.unwrap_err().to_string();
    assert!(told.contains("answered 429: TOOMANYREQUESTS slowdown [31m; try"), "{told}");
    let gone = registry.pull(":gone", None).await.unwrap_err();
    assert!(matches!(gone, RegistryError::NotFound(_)), "{gone}");
}

#[tokio::test]
async fn nobody_there_is_told_as_that() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Reference::parse(&format!("{}/a:1", listener.local_addr().unwrap())).unwrap()
    };
    let access = RegistryAccess::default();
    let away = Pulled::pull(&nobody, &access, MOST).await.unwrap_err();
    assert!(matches!(away, RegistryError::Away { .. }), "{away}");
}
