//! A client's socket: what is sent must be read in time, and the last answer arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a client may take to take what is sent to it, once the system's own buffers are full.
pub(super) const SEND_DEADLINE: Duration = Duration::from_secs(30);
/// After so long without an acknowledgement the system gives the connection up.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How long what a client still sends is thrown away after the last answer: closing at once would reset
/// the connection, and the answer with it.
const LINGER: Duration = Duration::from_millis(500);
/// How much of it.
const LINGER_BYTES: usize = 1 << 20;

/// A socket and its deadlines.
pub(super) struct Wire {
    stream: TcpStream,
    outlet: Arc<Outlet>,
    /// Set while something waits to be sent.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set once nothing more is sent.
    lingers: Option<(Pin<Box<Sleep>>, usize)>,
}

/// Whether what was answered has left. A client may send requests without reading any answer: the next
/// one waits until then, so that no more than one answer is ever held for it.
#[derive(Default)]
pub(super) struct Outlet {
    is_full: AtomicBool,
    waker: AtomicWaker,
}

impl Outlet {
    /// Ends when what was answered has left.
    pub(super) async fn emptied(&self) {
        std::future::poll_fn(|context| {
            self.waker.register(context.waker());
            if self.is_full.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Wire {
    /// Takes an accepted socket.
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<Outlet>) {
        #[cfg(target_os = "linux")]
        if let Err(error) =
            socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))
        {
            tracing::debug!(%error, "http: a socket takes no deadline");
        }
        let outlet = Arc::new(Outlet::default());
        (Self { stream, outlet: outlet.clone(), stalled: None, lingers: None }, outlet)
    }

    /// What waits to be sent waits no longer than the deadline, whatever little of it goes through meanwhile.
    fn waited(
        &mut self,
        sent: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if sent.is_ready() && self.stalled.is_none() {
            return sent;
        }
        self.outlet.is_full.store(true, Ordering::Release);
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(sleep(SEND_DEADLINE)));
        if deadline.as_mut().poll(context).is_ready() {
            let message = "the client doesn't take what is sent to it";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        sent
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(sent, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.waited(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when everything was written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.stalled = None;
        self.outlet.is_full.store(false, Ordering::Release);
        self.outlet.waker.wake();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let (deadline, left) =
            this.lingers.get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES));
        let mut space = [0; 4096];
        loop {
            if *left == 0 || deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut thrown_away = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut thrown_away));
            if read.is_err() || thrown_away.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            *left = left.saturating_sub(thrown_away.filled().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn pair() -> (Wire, Arc<Outlet>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (wire, outlet) = Wire::new(listener.accept().await.unwrap().0);
        (wire, outlet, client)
    }

    async fn write_all(wire: &mut Wire) -> io::Error {
        loop {
            if let Err(error) = wire.write_all(&[b'x'; 64 << 10]).await {
                return error;
            }
        }
    }

    #[tokio::test]
    async fn what_nobody_reads_is_given_up_at_the_deadline_and_meanwhile_nothing_else_is_answered()
    {
        let (mut wire, outlet, _client) = pair().await;
        outlet.emptied().await;
        assert!(timeout(Duration::from_secs(1), write_all(&mut wire)).await.is_err());
        tokio::time::pause();
        assert!(timeout(SEND_DEADLINE / 4, outlet.emptied()).await.is_err());
        let begun = Instant::now();
        assert_eq!(write_all(&mut wire).await.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() <= SEND_DEADLINE, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_trickle_is_no_progress_and_taking_everything_is() {
        let (mut wire, outlet, mut client) = pair().await;
        assert!(timeout(Duration::from_secs(1), write_all(&mut wire)).await.is_err());
        tokio::time::pause();
        let mut piece = vec![0; 64 << 10];
        tokio::time::advance(SEND_DEADLINE / 2).await;
        client.read_exact(&mut piece).await.unwrap();
        assert!(
            timeout(SEND_DEADLINE, write_all(&mut wire))
                .await
                .is_ok_and(|error| { error.kind() == io::ErrorKind::TimedOut })
        );

        let (mut wire, outlet_of_reader, mut client) = pair().await;
        tokio::time::resume();
        let reader = async {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap();
            all.len()
        };
        let writer = async {
            wire.write_all(&vec![b'x'; 16 << 20]).await.unwrap();
            wire.flush().await.unwrap();
            outlet_of_reader.emptied().await;
            drop(wire);
        };
        let (read, ()) = tokio::join!(reader, writer);
        assert_eq!(read, 16 << 20);
        drop(outlet);
    }

    #[tokio::test]
    async fn the_last_answer_arrives_though_more_was_sent_than_was_read() {
        let (mut wire, _, mut client) = pair().await;
        client.write_all(&vec![b'x'; 256 << 10]).await.unwrap();
        wire.write_all(b"answer").await.unwrap();
        let ending = async {
            wire.shutdown().await.unwrap();
            drop(wire);
        };
        let reading = async {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let ((), answer) = tokio::join!(ending, reading);
        assert_eq!(answer, "answer");
    }
}
