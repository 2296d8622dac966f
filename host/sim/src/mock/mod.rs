//! A platform of no kind in particular, for trying a plugin out: it takes any request, answers as it is
//! told, and keeps what was said. It judges nothing; who uses it does.

mod exchange;
mod form;
mod trouble;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpSocket};

use super::serve::{Reset, Server};

pub use exchange::MockExchange;
pub use form::{Form, FormError, MockExpectation, MockOutcome};
pub use trouble::{MockTrouble, Struck};

/// Largest request that is read, in bytes.
const MAX_REQUEST: usize = 16 << 20;
/// Most exchanges that are kept; the oldest go.
const MAX_EXCHANGES: usize = 4096;
const BACKLOG: u32 = 1024;

/// The body of an answer.
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// A running mock platform. Dropping it ends it.
pub struct Mock {
    addr: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    entrance: tokio::sync::Mutex<Entrance>,
}

/// Whether connections are accepted.
enum Entrance {
    Open(Server),
    /// The address is held, and every connection to it refused.
    Closed(TcpSocket),
    /// A change of the entrance failed half way.
    Broken,
}

struct Desk {
    form: Form,
    trouble: Option<(Struck, MockTrouble)>,
    exchanges: Vec<MockExchange>,
    /// Exchanges that had to go.
    forgotten: u64,
    /// How many answers were filled in.
    answers: u64,
}

impl Mock {
    /// Listens on a free port of 127.0.0.1 and answers by `form`.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start(form: Form) -> io::Result<Self> {
        Self::start_at(0, form).await
    }

    /// The same on this port; 0 is any that is free.
    ///
    /// # Errors
    /// It can't be listened on.
    pub async fn start_at(port: u16, form: Form) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let addr = listener.local_addr()?;
        let desk = Desk { form, trouble: None, exchanges: Vec::new(), forgotten: 0, answers: 0 };
        let desk = Arc::new(Mutex::new(desk));
        let entrance = Entrance::Open(serve(listener, &desk)?);
        Ok(Self { addr, desk, entrance: tokio::sync::Mutex::new(entrance) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Lets requests fail from here on, until [`Self::heal`].
    pub fn strike(&self, struck: Struck, trouble: MockTrouble) {
        self.desk().trouble = Some((struck, trouble));
    }

    /// Answers by its form again.
    pub fn heal(&self) {
        self.desk().trouble = None;
    }

    /// What was said since the last time that it was asked, oldest first.
    pub fn take(&self) -> Vec<MockExchange> {
        std::mem::take(&mut self.desk().exchanges)
    }

    /// How many exchanges were forgotten, because nobody asked for them.
    pub fn forgotten(&self) -> u64 {
        self.desk().forgotten
    }

    /// The answers of its form that fitted no request so far, by their places from 1.
    pub fn unused_answers(&self) -> Vec<usize> {
        self.desk().form.unused()
    }

    /// Refuses every connection from here on, and closes those that are there.
    ///
    /// # Errors
    /// The address can't be held.
    pub async fn close(&self) -> io::Result<()> {
        let mut entrance = self.entrance.lock().await;
        if let Entrance::Open(server) = std::mem::replace(&mut *entrance, Entrance::Broken) {
            server.shutdown().await;
        }
        // Bound and not listening: nobody else gets the port, and whoever connects is refused.
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.addr)?;
        *entrance = Entrance::Closed(socket);
        Ok(())
    }

    /// Takes connections again.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn open(&self) -> io::Result<()> {
        let mut entrance = self.entrance.lock().await;
        *entrance = match std::mem::replace(&mut *entrance, Entrance::Broken) {
            Entrance::Closed(socket) => Entrance::Open(serve(socket.listen(BACKLOG)?, &self.desk)?),
            open @ Entrance::Open(_) => open,
            Entrance::Broken => return Err(io::Error::other("the mock's address was lost")),
        };
        Ok(())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mock").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn serve(listener: TcpListener, desk: &Arc<Mutex<Desk>>) -> io::Result<Server> {
    let desk = desk.clone();
    Server::over(listener, move |request, reset| answer(desk.clone(), request, reset))
}

async fn answer(
    desk: Arc<Mutex<Desk>>,
    request: Request<Incoming>,
    reset: Reset,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        // The sender went away, or sends without end: there is nobody to answer.
        reset.now();
        return std::future::pending().await;
    };
    let mut exchange = MockExchange::of(&head, body.to_bytes());
    let trouble = {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.answers += 1;
        let trouble = desk.trouble.clone();
        let trouble =
            trouble.filter(|(struck, _)| struck.holds(&exchange)).map(|(_, trouble)| trouble);
        let count = desk.answers;
        let forced = match &trouble {
            Some(MockTrouble::Form(place)) => Some(*place),
            Some(_) | None => None,
        };
        let filled = desk.form.answer(&exchange, count, forced);
        exchange.answer = match &trouble {
            Some(MockTrouble::Form(_)) | None => filled.told(),
            Some(trouble) => trouble.told(),
        };
        exchange.id.clone_from(&filled.id);
        exchange.number = filled.number;
        if desk.exchanges.len() >= MAX_EXCHANGES {
            desk.exchanges.remove(0);
            desk.forgotten += 1;
        }
        desk.exchanges.push(exchange);
        match trouble {
            None => return closing(filled.into_response()),
            Some(trouble) => (trouble, filled),
        }
    };
    let (trouble, filled) = trouble;
    match trouble.into_response(filled) {
        trouble::Outcome::Answer(response) => closing(response),
        trouble::Outcome::Reset => {
            reset.now();
            std::future::pending().await
        }
        trouble::Outcome::Silence => std::future::pending().await,
    }
}

/// A connection serves one request: what is done to one must not be felt by the next.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = http::HeaderValue::from_static("close");
    response.headers_mut().insert(http::header::CONNECTION, close);
    response
}

/// A whole body.
fn whole(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}
