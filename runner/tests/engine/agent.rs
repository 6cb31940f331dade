//! A stand-in for the control plane: the SessionAgent's side of the runner link, and the model proxy.
//!
//! It keeps what the real one keeps (events by `rseq`, acked after they are stored; saved lengths of open parts) and
//! notes every breach of the protocol in `problems`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use errand_protocol::PROTOCOL_VERSION;
use errand_protocol::ids::{PartId, SpoolId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame, RunnerSetup, SandboxToken};
use errand_protocol::time::Timestamp;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

const PATIENCE: Duration = Duration::from_mins(2);

/// What the agent has.
pub struct Log {
    pub spool: Option<SpoolId>,
    pub events: Vec<RunnerEvent>,
    pub texts: HashMap<PartId, Vec<u16>>,
    pub delta_frames: HashMap<PartId, usize>,
    pub hellos: Vec<RunnerFrame>,
    pub flushes: usize,
    pub renewals: usize,
    pub problems: Vec<String>,
    pub token: String,
    pub token_life: i64,
    pub llm_tokens: Vec<String>,
    pub acks: bool,
    pub saves: bool,
    pub refuse: Option<u16>,
    /// Nothing is read from the runner while this is set.
    pub stalled: bool,
    /// Uploaded snapshots.
    pub snapshots: BTreeMap<String, Bytes>,
    /// Statuses that the next uploads are answered with.
    pub put_statuses: VecDeque<u16>,
    /// Statuses that the next downloads are answered with.
    pub get_statuses: VecDeque<u16>,
    pub uploads: usize,
    /// What the repository's policy gives, as JSON.
    pub environment: String,
    /// Statuses that the next questions for it are answered with.
    pub environment_statuses: VecDeque<u16>,
    /// The last request to the model that was not for a title.
    pub llm_body: String,
    connection: Option<mpsc::UnboundedSender<Out>>,
}

enum Out {
    Frame(Box<AgentFrame>),
    Close(u16),
    Cut,
}

pub struct Agent {
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
    changed: Arc<Notify>,
}

struct Server {
    setup: RunnerSetup,
    model: String,
    http: reqwest::Client,
    log: Arc<Mutex<Log>>,
    changed: Arc<Notify>,
}

fn now() -> i64 {
    errand_runner::clock::now().millis()
}

impl Agent {
    pub async fn start(setup: RunnerSetup, model: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log {
            spool: None,
            events: Vec::new(),
            texts: HashMap::new(),
            delta_frames: HashMap::new(),
            hellos: Vec::new(),
            flushes: 0,
            renewals: 0,
            problems: Vec::new(),
            token: "token-1".to_owned(),
            token_life: 3_600_000,
            llm_tokens: Vec::new(),
            acks: true,
            saves: true,
            refuse: None,
            stalled: false,
            snapshots: BTreeMap::new(),
            put_statuses: VecDeque::new(),
            get_statuses: VecDeque::new(),
            uploads: 0,
            environment: "{}".to_owned(),
            environment_statuses: VecDeque::new(),
            llm_body: String::new(),
            connection: None,
        }));
        let changed = Arc::new(Notify::new());
        let server = Arc::new(Server {
            setup,
            model,
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
            log: Arc::clone(&log),
            changed: Arc::clone(&changed),
        });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let server = Arc::clone(&server);
                        async move { Ok::<_, Infallible>(server.serve(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self { address, log, changed }
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Reads nothing any more, or reads again.
    pub fn stall(&self, stalled: bool) {
        self.log().stalled = stalled;
        self.changed.notify_waiters();
    }

    pub fn send(&self, frame: AgentFrame) {
        self.out(Out::Frame(Box::new(frame)));
    }

    /// Breaks the connection without a word.
    pub fn cut(&self) {
        self.out(Out::Cut);
    }

    pub fn close(&self, code: u16) {
        self.out(Out::Close(code));
    }

    fn out(&self, out: Out) {
        let connection = self.log().connection.clone();
        connection.expect("the runner is connected").send(out).unwrap();
    }

    /// Waits until `find` finds something in the log.
    pub async fn until<T>(&self, what: &str, mut find: impl FnMut(&Log) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = find(&self.log()) {
                    return found;
                }
                changed.await;
            }
        };
        let Ok(found) = tokio::time::timeout(PATIENCE, wait).await else {
            panic!("waited in vain for {what}; the log: {:#?}", self.log().events)
        };
        found
    }

    /// Waits for an event.
    pub async fn event<T>(&self, what: &str, find: impl Fn(&RunnerEvent) -> Option<T>) -> T {
        self.until(what, |log| log.events.iter().find_map(&find)).await
    }

    pub async fn turn_finished(&self, turn: &TurnId) -> RunnerEvent {
        self.event("the turn's end", |event| match event {
            RunnerEvent::TurnFinished { turn_id, .. } if turn_id == turn => Some(event.clone()),
            _ => None,
        })
        .await
    }

    pub async fn ready(&self) {
        self.event("ready", |event| {
            matches!(event, RunnerEvent::Ready { .. }).then_some(())
        })
        .await;
    }

    /// Waits for another `ready`, behind the first `seen` events.
    pub async fn ready_again(&self, seen: usize) {
        let ready = |event: &RunnerEvent| matches!(event, RunnerEvent::Ready { .. });
        let again = |log: &Log| log.events.iter().skip(seen).any(ready).then_some(());
        self.until("another ready", again).await;
    }
}

type Body = BoxBody<Bytes, reqwest::Error>;

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned()))
        .map_err(|never| match never {})
        .boxed();
    Response::builder().status(status).body(body).unwrap()
}

impl Server {
    async fn serve(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let bearer = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default()
            .to_owned();
        if let Some(rest) = path.strip_prefix("/llm/demo") {
            return self.model(rest, &bearer, request).await;
        }
        let own = format!("/runner/{}", self.setup.session_id);
        if let Some(id) = path.strip_prefix(&format!("{own}/snapshots/")) {
            return self.snapshot(id.to_owned(), &bearer, request).await;
        }
        if path == format!("{own}/environment") {
            return self.environment(&bearer);
        }
        if path != own {
            return text(StatusCode::NOT_FOUND, "no such path");
        }
        let refuse = {
            let mut log = self.log.lock().unwrap();
            if bearer != log.token {
                let problem = format!("dialled with the token {bearer:?}");
                log.problems.push(problem);
            }
            log.refuse
        };
        if let Some(status) = refuse {
            return text(StatusCode::from_u16(status).unwrap(), "refused");
        }
        let key = request.headers()["sec-websocket-key"].clone();
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            self.talk(socket).await;
        });
        let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
        let headers = response.headers_mut();
        headers.insert("connection", "Upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        headers.insert(
            "sec-websocket-accept",
            derive_accept_key(key.as_bytes()).parse().unwrap(),
        );
        response
    }

    fn environment(&self, bearer: &str) -> Response<Body> {
        let mut log = self.log.lock().unwrap();
        if bearer != log.token {
            return text(StatusCode::UNAUTHORIZED, "not the token");
        }
        let status = log.environment_statuses.pop_front().unwrap_or(200);
        text(StatusCode::from_u16(status).unwrap(), &log.environment)
    }

    async fn snapshot(&self, id: String, bearer: &str, request: Request<Incoming>) -> Response<Body> {
        if bearer != self.log.lock().unwrap().token {
            return text(StatusCode::UNAUTHORIZED, "not the token");
        }
        if request.method() == "GET" {
            if let Some(status) = self.log.lock().unwrap().get_statuses.pop_front() {
                return text(StatusCode::from_u16(status).unwrap(), "no");
            }
            let Some(bytes) = self.log.lock().unwrap().snapshots.get(&id).cloned() else {
                return text(StatusCode::NOT_FOUND, "no such snapshot");
            };
            let body = Full::new(bytes).map_err(|never| match never {}).boxed();
            return Response::new(body);
        }
        let length: usize = request.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), length);
        let mut log = self.log.lock().unwrap();
        log.uploads += 1;
        self.changed.notify_waiters();
        if let Some(status) = log.put_statuses.pop_front() {
            return text(StatusCode::from_u16(status).unwrap(), "no");
        }
        log.snapshots.insert(id, bytes);
        text(StatusCode::NO_CONTENT, "")
    }

    async fn model(&self, path: &str, bearer: &str, request: Request<Incoming>) -> Response<Body> {
        self.log.lock().unwrap().llm_tokens.push(bearer.to_owned());
        let url = format!("{}{path}", self.model);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if body.len() < 1024 * 1024 && body.windows(8).any(|window| window == b"\"tools\":") {
            self.log.lock().unwrap().llm_body = String::from_utf8_lossy(&body).into_owned();
        }
        let sent = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) => {
                let mut response = Response::from(response);
                response.headers_mut().remove("transfer-encoding");
                response.map(http_body_util::BodyExt::boxed)
            }
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    async fn talk<S>(&self, socket: WebSocketStream<S>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let (mut sink, mut stream) = socket.split();
        let (tx, mut rx) = mpsc::unbounded_channel();
        self.log.lock().unwrap().connection = Some(tx.clone());
        let mut last = 0;
        loop {
            tokio::select! {
                frame = self.next(&mut stream) => {
                    let Some(Ok(frame)) = frame else { return };
                    let Message::Text(frame) = frame else { continue };
                    if frame.as_str() == "ping" {
                        sink.send(Message::text("pong")).await.unwrap();
                        continue;
                    }
                    let frame: RunnerFrame = serde_json::from_str(&frame).unwrap();
                    self.take(frame, &tx, &mut last);
                    self.changed.notify_waiters();
                }
                out = rx.recv() => match out {
                    Some(Out::Frame(frame)) => {
                        let text = serde_json::to_string(&*frame).unwrap();
                        if sink.send(Message::text(text)).await.is_err() { return }
                    }
                    Some(Out::Close(code)) => {
                        let frame = CloseFrame { code: code.into(), reason: "".into() };
                        let _ = sink.send(Message::Close(Some(frame))).await;
                        return;
                    }
                    Some(Out::Cut) | None => return,
                },
            }
        }
    }

    /// The next frame, once frames are read.
    async fn next<S>(&self, stream: &mut SplitStream<WebSocketStream<S>>) -> Option<Result<Message, Error>>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        loop {
            let changed = self.changed.notified();
            if !self.log.lock().unwrap().stalled {
                break;
            }
            changed.await;
        }
        stream.next().await
    }

    fn take(&self, frame: RunnerFrame, tx: &mpsc::UnboundedSender<Out>, last: &mut u64) {
        let mut log = self.log.lock().unwrap();
        let send = |frame| drop(tx.send(Out::Frame(Box::new(frame))));
        match frame {
            RunnerFrame::Hello {
                ref spool_id,
                last_rseq,
                ..
            } => {
                if log.spool.as_ref().is_some_and(|known| known != spool_id) {
                    log.problems.push("the spool was lost".to_owned());
                }
                log.spool = Some(spool_id.clone());
                if last_rseq < log.events.len() as u64 {
                    log.problems
                        .push(format!("lastRseq {last_rseq} is less than what is stored"));
                }
                let acked = log.events.len() as u64;
                *last = acked;
                log.hellos.push(frame);
                let expires = Timestamp::from_millis(now() + log.token_life);
                let token = SandboxToken {
                    token: log.token.clone(),
                    expires_at: expires,
                };
                send(AgentFrame::Welcome {
                    protocol: PROTOCOL_VERSION,
                    acked,
                    setup: self.setup.clone(),
                    token,
                });
            }
            RunnerFrame::Event { rseq, body, .. } => {
                if rseq != *last + 1 {
                    log.problems
                        .push(format!("event {rseq} came after {last} on one connection"));
                }
                *last = rseq;
                if rseq == log.events.len() as u64 + 1 {
                    log.events.push(body);
                }
                if log.acks {
                    send(AgentFrame::Ack { rseq });
                }
            }
            RunnerFrame::Delta(delta) => {
                *log.delta_frames.entry(delta.part_id.clone()).or_default() += 1;
                let text = log.texts.entry(delta.part_id.clone()).or_default();
                if delta.reset {
                    text.clear();
                }
                let offset = delta.offset as usize;
                if offset > text.len() {
                    log.problems
                        .push(format!("a gap before offset {offset} of {}", delta.part_id));
                    return;
                }
                text.truncate(offset);
                text.extend(delta.text.encode_utf16());
                let len = u32::try_from(text.len()).unwrap();
                if log.saves {
                    send(AgentFrame::Saved {
                        part_id: delta.part_id,
                        len,
                    });
                }
            }
            RunnerFrame::Flush {} => log.flushes += 1,
            RunnerFrame::RenewToken {} => {
                log.renewals += 1;
                log.token = format!("token-{}", log.renewals + 1);
                log.token_life = 3_600_000;
                let expires = Timestamp::from_millis(now() + log.token_life);
                send(AgentFrame::Token {
                    token: SandboxToken {
                        token: log.token.clone(),
                        expires_at: expires,
                    },
                });
            }
        }
    }
}

/// Checks what must hold of every log: parts and messages open once and close once, nothing stays open.
pub fn check(log: &Log) {
    assert_eq!(log.problems, [] as [String; 0]);
    let mut parts: BTreeMap<PartId, &str> = BTreeMap::new();
    let mut messages = BTreeMap::new();
    let mut indexes = BTreeMap::new();
    for event in &log.events {
        match event {
            RunnerEvent::PartStarted { part, message_id, .. } => {
                assert_ne!(
                    parts.insert(part.id.clone(), "open"),
                    Some("closed"),
                    "{} opened again",
                    part.id
                );
                assert_eq!(
                    messages.get(message_id),
                    Some(&false),
                    "a part of a message that is not open"
                );
                let index = indexes
                    .entry((message_id.clone(), part.index))
                    .or_insert_with(|| part.id.clone());
                assert_eq!(index, &part.id, "two parts at one place");
            }
            RunnerEvent::PartFinished { part, .. } => {
                assert_ne!(
                    parts.insert(part.id.clone(), "closed"),
                    Some("closed"),
                    "{} finished twice",
                    part.id
                );
                assert!(part.ended_at.is_some(), "{} has no end", part.id);
            }
            RunnerEvent::PartRemoved { part_id, .. } => {
                parts.insert(part_id.clone(), "closed");
            }
            RunnerEvent::MessageStarted { message_id, .. } => {
                assert_eq!(
                    messages.insert(message_id.clone(), false),
                    None,
                    "{message_id} started twice"
                );
            }
            RunnerEvent::MessageFinished { message_id, .. } => {
                assert_eq!(
                    messages.insert(message_id.clone(), true),
                    Some(false),
                    "{message_id} finished twice"
                );
            }
            RunnerEvent::TurnFinished { .. } => {
                let open: Vec<_> = parts.iter().filter(|(_, state)| **state == "open").collect();
                assert!(open.is_empty(), "parts left open: {open:?}");
                assert!(messages.values().all(|finished| *finished), "messages left open");
            }
            _ => {}
        }
    }
}
