//! A connector of a few lines: one connection, scripted bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the connector does after it has read the request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until the client goes away.
    Hold,
}

/// A connector that serves one connection.
pub(crate) struct Connector {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<String>,
}

impl Connector {
    pub(crate) fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let serving = std::thread::spawn(move || {
            serve(&listener.accept().expect("a client comes").0, &steps)
        });
        Self { address, serving }
    }

    /// The request's head, once the client has gone.
    pub(crate) fn request(self) -> String {
        self.serving.join().expect("the connector ends well")
    }
}

fn serve(mut socket: &TcpStream, steps: &[Step]) -> String {
    // A client that never goes away is a failed test, not one that hangs.
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes a timeout");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
        // A TLS client greets in other words; it gets its steps at once.
        if head[0] == 0x16 {
            break;
        }
    }
    for step in steps {
        match step {
            // A client that has read enough closes; that is its right.
            Step::Send(bytes) if socket.write_all(bytes).is_err() => break,
            Step::Send(_) => {}
            Step::Hold => while socket.read(&mut byte).is_ok_and(|read| read > 0) {},
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
