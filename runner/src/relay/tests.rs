//! The relay between an engine and a control plane that are sockets in the test's hands.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as Listener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::*;

const KEY: &str = "the-key-of-the-relay";
const PATIENCE: Duration = Duration::from_secs(10);

/// A relay in a thread of its own; it ends when this is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    control_plane: Listener,
    token: watch::Sender<String>,
}

impl Running {
    fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let control_plane = Listener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", control_plane.local_addr().unwrap());
        let (token, current) = watch::channel("the-token".to_owned());
        let (opened, port) = channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = listen(0).unwrap();
                opened.send(listener.local_addr().unwrap()).unwrap();
                let relay = Relay {
                    upstream: Upstream::new(&address).unwrap(),
                    address,
                    paths: BTreeSet::from(["/llm/demo".to_owned()]),
                    token: current,
                };
                tokio::select! {
                    () = relay.serve(listener, KEY.to_owned()) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: port.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
            control_plane,
            token,
        }
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// An engine that asks.
    fn ask(&self) -> TcpStream {
        let mut engine = TcpStream::connect(self.address).unwrap();
        engine.set_read_timeout(Some(PATIENCE)).unwrap();
        again(&mut engine);
        engine
    }

    /// The control plane's end of a new connection, with the request read.
    fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.control_plane.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        read_request(&mut stream);
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

fn again(engine: &mut TcpStream) {
    let request = format!(
        "POST /llm/demo/v1/chat/completions HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\ncontent-length: 4\r\n\r\nask!"
    );
    engine.write_all(request.as_bytes()).unwrap();
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"ask!") {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the relay hung up in the middle of a request");
        seen.extend_from_slice(buffer.get(..count).unwrap());
    }
    String::from_utf8(seen).unwrap()
}

fn read_until(engine: &mut TcpStream, end: &str) {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let mut buffer = [0; 1024];
        let count = engine.read(&mut buffer).unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(std::str::from_utf8(buffer.get(..count).unwrap()).unwrap());
    }
}

/// How a connection ends: `Ok` for a close.
fn end(stream: &mut TcpStream) -> Result<(), ErrorKind> {
    let mut rest = [0; 1024];
    match stream.read(&mut rest) {
        Ok(0) => Ok(()),
        Ok(count) => panic!("{count} bytes, and not the end"),
        Err(error) => Err(error.kind()),
    }
}

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";

#[test]
fn an_engine_that_goes_away_before_the_answer_resets_its_request_and_no_other() {
    let relay = Running::start();
    let first = relay.ask();
    let mut asked = relay.asked();
    let mut second = relay.ask();
    let mut other = relay.asked();
    drop(first);
    assert_eq!(end(&mut asked), Err(ErrorKind::ConnectionReset));
    other.write_all(WHOLE.as_bytes()).unwrap();
    read_until(&mut second, "hello");
}

#[test]
fn an_engine_that_goes_away_in_the_middle_of_an_answer_resets_its_request() {
    let relay = Running::start();
    let mut engine = relay.ask();
    let mut asked = relay.asked();
    asked.write_all(CHUNKED.as_bytes()).unwrap();
    read_until(&mut engine, "hello\r\n");
    drop(engine);
    assert_eq!(end(&mut asked), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_connection_whose_answers_are_whole_is_used_again_and_closed() {
    let mut relay = Running::start();
    let mut engine = relay.ask();
    let mut asked = relay.asked();
    let nothing = "HTTP/1.1 204 No Content\r\n\r\n";
    for (answer, end) in [
        (&[WHOLE][..], "hello"),
        (&[CHUNKED, LAST_CHUNK], LAST_CHUNK),
        (&[nothing], "\r\n\r\n"),
    ] {
        for piece in answer {
            asked.write_all(piece.as_bytes()).unwrap();
        }
        read_until(&mut engine, end);
        drop(engine);
        engine = relay.ask();
        read_request(&mut asked);
    }
    asked.write_all(WHOLE.as_bytes()).unwrap();
    read_until(&mut engine, "hello");
    relay.stop();
    assert_eq!(end(&mut asked), Ok(()));
}

#[test]
fn a_relay_that_ends_resets_what_is_not_answered() {
    let mut relay = Running::start();
    let _engine = relay.ask();
    let mut asked = relay.asked();
    relay.stop();
    assert_eq!(end(&mut asked), Err(ErrorKind::ConnectionReset));
}

#[test]
fn the_current_token_takes_the_place_of_the_key() {
    let relay = Running::start();
    let _first = relay.ask();
    let (mut stream, _) = relay.control_plane.accept().unwrap();
    assert!(read_request(&mut stream).contains("authorization: Bearer the-token\r\n"));
    relay.token.send_replace("the-next".to_owned());
    let _second = relay.ask();
    let (mut stream, _) = relay.control_plane.accept().unwrap();
    let request = read_request(&mut stream);
    assert!(
        request.contains("authorization: Bearer the-next\r\n") && !request.contains(KEY),
        "{request}"
    );
}
