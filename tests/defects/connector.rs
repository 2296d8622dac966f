//! A connector that a test drives by hand over a socket, and a client that reads from it.

use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::Clock;
use sidenote::config::{Secret, Stream};
use sidenote::session::payload::Payload;
use sidenote::stream::{
    CancellationToken, Client, Interruption, Observer, Pause, Received, Status, StreamError, Wait,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// Waits for what must happen, by a deadline that only a failure reaches.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it happens in time")
}

/// An `actions` event of one session.
pub(crate) fn event(session: &str) -> String {
    let action = format!(r#"{{"description":"by {session}"}}"#);
    let batch = format!(
        r#"{{"type":"actions","product_id":"p","session_id":"{session}","actions":[{action}],"forwarded_at":5.0}}"#
    );
    format!("data: {batch}\n\n")
}

pub(crate) struct Connector {
    listener: TcpListener,
}

impl Connector {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("the loopback works") }
    }

    /// The next connection and the head of its request.
    pub(crate) async fn accept(&self) -> (TcpStream, String) {
        let (mut tcp, _) = soon(self.listener.accept()).await.expect("the loopback works");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(soon(tcp.read_u8()).await.expect("the loopback works")));
        }
        (tcp, head)
    }

    /// Answers the next connection with these bytes; it stays open while the result is held.
    pub(crate) async fn answer(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let (mut tcp, _) = self.accept().await;
        send(&mut tcp, bytes).await;
        tcp
    }

    pub(crate) fn client(&self) -> Client {
        let url =
            format!("http://{}/stream/p", self.listener.local_addr().expect("the loopback works"));
        let stream = Stream { token: Some(Secret::new("tok")), ..Stream::at(url) };
        Client::new("shop", stream, Clock::system()).expect("the loopback works")
    }

    /// A client that spends no time between its attempts.
    pub(crate) fn run(&self, room: usize) -> Running {
        Running::start(self.client(), room)
    }
}

pub(crate) async fn send(tcp: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    soon(tcp.write_all(bytes.as_ref())).await.expect("the loopback works");
}

/// What an observer is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Connected,
    Disconnected(Interruption),
    Waiting(Wait),
}

pub(crate) struct Running {
    pub(crate) status: Status,
    pub(crate) received: mpsc::Receiver<Received>,
    pub(crate) stop: CancellationToken,
    pub(crate) steps: mpsc::UnboundedReceiver<Step>,
    task: JoinSet<Result<(), StreamError>>,
}

impl Running {
    pub(crate) fn start(client: Client, room: usize) -> Self {
        let (tell, steps) = mpsc::unbounded_channel();
        let client = client.with_observer(Arc::new(Recorder(tell)));
        let (status, stop) = (client.status(), CancellationToken::new());
        let (sink, received) = mpsc::channel(room);
        let mut task = JoinSet::new();
        task.spawn(client.run(sink, stop.clone()));
        Self { status, received, stop, steps, task }
    }

    /// The session of the next payload.
    pub(crate) async fn session(&mut self) -> String {
        let received = soon(self.received.recv()).await.expect("the client runs");
        match received.payload {
            Payload::Actions(batch) => batch.session_id.unwrap_or_default(),
            Payload::Summary(summary) => summary.session_id.unwrap_or_default(),
        }
    }

    pub(crate) async fn step(&mut self) -> Step {
        soon(self.steps.recv()).await.expect("the client runs")
    }

    /// The base of the next wait, in seconds.
    pub(crate) async fn wait(&mut self) -> f64 {
        loop {
            if let Step::Waiting(wait) = self.step().await {
                return wait.base.as_secs_f64();
            }
        }
    }

    pub(crate) async fn ended(&mut self) -> Result<(), StreamError> {
        soon(self.task.join_next()).await.expect("it ran").expect("no panic")
    }
}

struct Recorder(mpsc::UnboundedSender<Step>);

impl Observer for Recorder {
    fn connected(&self) {
        drop(self.0.send(Step::Connected));
    }

    fn disconnected(&self, why: &Interruption) {
        drop(self.0.send(Step::Disconnected(why.clone())));
    }

    fn pause(&self, wait: Wait) -> Pause {
        drop(self.0.send(Step::Waiting(wait)));
        Box::pin(std::future::ready(()))
    }
}
