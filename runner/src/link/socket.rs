//! One WebSocket to the control plane: dialling it, and the two tasks that read and write it.
//!
//! Knows nothing of sessions. Writing is bounded: who wants to send waits for room.

use std::time::Duration;

use errand_protocol::limits::MAX_PROMPT_BYTES;
use errand_protocol::runner::AgentFrame;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::core::Input;

/// Frames that wait for the network, at most; the rest waits in the spool.
const WRITE_AHEAD: usize = 16;
/// Longest frame that is read: the longest prompt, each byte of it escaped, and what stands around it.
const MAX_FRAME: usize = MAX_PROMPT_BYTES * 6 + 64 * 1024;
/// A frame that cannot be written for so long means that the connection is dead.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What happened on the connection with this number.
#[derive(Debug)]
pub struct Heard {
    /// Which connection.
    pub connection: u64,
    /// What.
    pub input: Input,
}

/// A connection that is being opened or is open. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub number: u64,
    /// Frames to send.
    pub out: mpsc::Sender<String>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Dials `url` with the token; what comes of it is told to `heard`.
pub fn dial(number: u64, url: String, token: String, heard: mpsc::Sender<Heard>) -> Connection {
    let (out, queue) = mpsc::channel(WRITE_AHEAD);
    let task = tokio::spawn(async move {
        let tell = |input| {
            heard.send(Heard {
                connection: number,
                input,
            })
        };
        let socket = match open(&url, &token).await {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(error = %reason(&error), "the control plane could not be reached");
                let _ = tell(Input::Refused(status(&error))).await;
                return;
            }
        };
        if tell(Input::Opened).await.is_err() {
            return;
        }
        let (sink, stream) = socket.split();
        tokio::select! {
            () = write(sink, queue) => { let _ = tell(Input::Closed(None)).await; }
            () = read(stream, number, &heard) => {}
        }
    });
    Connection { number, out, task }
}

async fn open(url: &str, token: &str) -> Result<Socket, Error> {
    let mut request = url.into_client_request()?;
    let value = format!("Bearer {token}");
    let mut bearer = HeaderValue::from_str(&value).map_err(|_| {
        Error::Url(tokio_tungstenite::tungstenite::error::UrlError::UnableToConnect(
            "the token has a strange form".to_owned(),
        ))
    })?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let (socket, _) = connect_async_with_config(request, Some(config), true).await?;
    Ok(socket)
}

fn status(error: &Error) -> Option<u16> {
    if let Error::Http(response) = error {
        Some(response.status().as_u16())
    } else {
        None
    }
}

fn reason(error: &Error) -> String {
    status(error).map_or_else(|| error.to_string(), |status| format!("status {status}"))
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<String>) {
    while let Some(frame) = queue.recv().await {
        let sent = tokio::time::timeout(WRITE_TIMEOUT, sink.send(Message::text(frame))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

async fn read(mut stream: SplitStream<Socket>, connection: u64, heard: &mpsc::Sender<Heard>) {
    loop {
        let (input, last) = match stream.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == "pong" => (Input::Alive, false),
            Some(Ok(Message::Text(text))) => match serde_json::from_str::<AgentFrame>(&text) {
                Ok(frame) => (Input::Frame(frame), false),
                Err(_) => (Input::Garbage, false),
            },
            Some(Ok(Message::Close(frame))) => (Input::Closed(frame.map(|frame| frame.code.into())), true),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {
                (Input::Alive, false)
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the connection to the control plane broke");
                (Input::Closed(None), true)
            }
            None => (Input::Closed(None), true),
        };
        if heard.send(Heard { connection, input }).await.is_err() || last {
            return;
        }
    }
}
