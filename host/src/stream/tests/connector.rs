//! A connector that a test drives by hand, and a client running against it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::{self, Secret};
use crate::session::payload::Payload;
use crate::stream::{
    CancellationToken, Client, Interruption, Observer, Pause, Received, Snapshot, State, Status,
    StreamError, Wait,
};

/// Longest that anything in these tests may take.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: did not happen in time"))
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// An `actions` event of one session, without its field name and line end.
pub(super) fn batch(session: &str) -> String {
    format!(
        r#"{{"type":"actions","product_id":"p","session_id":"{session}","actions":[{{"title":"a"}}],"forwarded_at":5.0}}"#
    )
}

/// The event that carries [`batch`].
pub(super) fn event(session: &str) -> String {
    format!("data: {}\n\n", batch(session))
}

pub(super) struct Connector {
    listener: TcpListener,
    pub(super) config: config::Stream,
}

impl Connector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config::Stream {
            token: Some(Secret::new("tok")),
            idle_timeout: DEADLINE,
            ..config::Stream::at(format!("http://{}/stream/p", listener.local_addr().unwrap()))
        };
        Self { listener, config }
    }

    /// The next connection with its request read.
    pub(super) async fn accept(&self) -> Connection {
        let (mut tcp, _) = soon("a connection", self.listener.accept()).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            let byte = soon("a request", tcp.read_u8()).await.unwrap();
            request.push(char::from(byte));
        }
        Connection { tcp, request }
    }

    /// The next connection, answered well.
    pub(super) async fn accept_ok(&self) -> Connection {
        let mut connection = self.accept().await;
        connection.send(OK).await;
        connection
    }

    /// A client of this connector that does not run yet.
    pub(super) fn client(&self) -> Client {
        Client::new("shop", self.config.clone(), Clock::system()).unwrap()
    }

    /// A client that waits in no time and reads into a channel of `room` payloads.
    pub(super) fn run_with_room(&self, room: usize) -> Running {
        Running::start(self.client(), room, Waits::Skipped)
    }

    /// A client that waits in no time.
    pub(super) fn run(&self) -> Running {
        self.run_with_room(64)
    }
}

pub(super) struct Connection {
    pub(super) tcp: TcpStream,
    pub(super) request: String,
}

impl Connection {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("sending", self.tcp.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The value of a request header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Waits until the client closes the connection.
    pub(super) async fn closed(mut self) {
        let mut rest = Vec::new();
        // A reset counts as closed.
        drop(soon("the client closing", self.tcp.read_to_end(&mut rest)).await);
    }
}

/// How a client spends its waits.
#[derive(Clone, Copy)]
pub(super) enum Waits {
    Skipped,
    Endless,
}

pub(super) struct Running {
    pub(super) status: Status,
    pub(super) received: mpsc::Receiver<Received>,
    pub(super) stop: CancellationToken,
    pub(super) steps: mpsc::UnboundedReceiver<Step>,
    tasks: JoinSet<Result<(), StreamError>>,
}

/// What an observer is told.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Connected,
    Disconnected(Interruption),
    Waiting(Wait),
}

impl Running {
    pub(super) fn start(client: Client, room: usize, waits: Waits) -> Self {
        let (tell, steps) = mpsc::unbounded_channel();
        let client = client.with_observer(Arc::new(Recorder { tell, waits }));
        let status = client.status();
        let (sink, received) = mpsc::channel(room);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(client.run(sink, stop.clone()));
        Self { status, received, stop, steps, tasks }
    }

    /// The session of the next payload.
    pub(super) async fn session(&mut self) -> String {
        let received = soon("a payload", self.received.recv()).await.expect("the client runs");
        match received.payload {
            Payload::Actions(payload) => payload.session_id.unwrap_or_default(),
            Payload::Summary(payload) => payload.session_id.unwrap_or_default(),
        }
    }

    pub(super) async fn status_with(&mut self, fits: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        soon("the state", self.status.wait_for(fits)).await
    }

    /// The next wait; connecting and disconnecting are passed over.
    pub(super) async fn wait(&mut self) -> Wait {
        loop {
            match soon("a wait", self.steps.recv()).await.expect("the client runs") {
                Step::Waiting(wait) => return wait,
                Step::Connected | Step::Disconnected(_) => {}
            }
        }
    }

    /// Why the next connection ended.
    pub(super) async fn interruption(&mut self) -> Interruption {
        loop {
            match soon("an interruption", self.steps.recv()).await.expect("the client runs") {
                Step::Disconnected(why) => return why,
                Step::Connected | Step::Waiting(_) => {}
            }
        }
    }

    /// Waits for the client to end by itself.
    pub(super) async fn ended(&mut self) -> Result<(), StreamError> {
        soon("the client ending", self.tasks.join_next())
            .await
            .expect("the client ran")
            .expect("it did not panic")
    }

    /// Stops the client and checks that it ends well and at once: long before any time-out.
    pub(super) async fn stops(&mut self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(2), self.tasks.join_next())
            .await
            .expect("it stops at once");
        assert_eq!(ended.expect("the client ran").expect("it did not panic"), Ok(()));
        assert_eq!(self.status.get().state, State::Stopped { reason: None });
    }
}

struct Recorder {
    tell: mpsc::UnboundedSender<Step>,
    waits: Waits,
}

impl Observer for Recorder {
    fn connected(&self) {
        drop(self.tell.send(Step::Connected));
    }

    fn disconnected(&self, why: &Interruption) {
        drop(self.tell.send(Step::Disconnected(why.clone())));
    }

    fn pause(&self, wait: Wait) -> Pause {
        drop(self.tell.send(Step::Waiting(wait)));
        match self.waits {
            Waits::Skipped => Box::pin(std::future::ready(())),
            Waits::Endless => Box::pin(std::future::pending()),
        }
    }
}
