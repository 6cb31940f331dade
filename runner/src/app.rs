//! The runner's heart: one task that owns link, spool, streams and bridge, and passes everything between them.
//!
//! Decides nothing itself: the link's rules are in [`crate::link::core`], the turns' in [`crate::bridge`]. An event
//! is in the spool before it is sent; a disk that does not take it ends the process.

mod start;

use std::io;
use std::time::Duration;

use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame, RunnerSetup};
use errand_protocol::transcript::{Part, PartBody};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::bridge::calls::Outcome;
use crate::bridge::driver::{Bridge, Run, Steer};
use crate::bridge::mapper::Output;
use crate::cause::{self, StartFailure};
use crate::clock;
use crate::config::Config;
use crate::engine::process;
use crate::engine::supervisor::EngineNews;
use crate::git::CheckedOut;
use crate::ids;
use crate::link::core::{Action, Exit, Greeting, Input, Link};
use crate::link::socket::{self, Connection, Heard};
use crate::spool::Spool;
use crate::state::StateFile;
use crate::streams::{self, Streams};

/// Inputs that wait, at most, before their source has to.
const INBOX: usize = 256;
/// The longest sleep between two looks at the timers.
const LONGEST: Duration = Duration::from_mins(1);

/// What the tasks around the heart tell it.
struct Inbox {
    heard: mpsc::Receiver<Heard>,
    prepared: mpsc::Receiver<Result<Option<CheckedOut>, StartFailure>>,
    news: mpsc::Receiver<EngineNews>,
    outcomes: mpsc::Receiver<Outcome>,
    terminate: Signal,
    interrupt: Signal,
}

/// Where the tasks tell it.
struct Outbox {
    heard: mpsc::Sender<Heard>,
    prepared: mpsc::Sender<Result<Option<CheckedOut>, StartFailure>>,
    news: mpsc::Sender<EngineNews>,
    outcomes: mpsc::Sender<Outcome>,
}

struct App {
    config: Config,
    state: StateFile,
    spool: Spool,
    streams: Streams,
    link: Link,
    connection: Option<Connection>,
    dialled: u64,
    token: watch::Sender<String>,
    setup: Option<RunnerSetup>,
    bridge: Option<Bridge>,
    http: reqwest::Client,
    tell: Outbox,
    exit: Option<Exit>,
}

/// Runs until the work is over; the exit says why.
///
/// # Errors
/// When the state directory or the network stack cannot be used at all.
pub async fn run(config: Config) -> io::Result<Exit> {
    std::fs::create_dir_all(&config.state)?;
    let spool = Spool::open(&config.state.join("spool.jsonl"))?;
    let state = StateFile::open(&config.state.join("runner.json"));
    let (heard_in, heard) = mpsc::channel(INBOX);
    let (prepared_in, prepared) = mpsc::channel(1);
    let (news_in, news) = mpsc::channel(INBOX);
    let (outcomes_in, outcomes) = mpsc::channel(INBOX);
    let inbox = Inbox {
        heard,
        prepared,
        news,
        outcomes,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let app = App {
        link: Link::new(config.token.clone()),
        token: watch::Sender::new(config.token.clone()),
        http: http_client(&config)?,
        config,
        state,
        spool,
        streams: Streams::default(),
        connection: None,
        dialled: 0,
        setup: None,
        bridge: None,
        tell: Outbox {
            heard: heard_in,
            prepared: prepared_in,
            news: news_in,
            outcomes: outcomes_in,
        },
        exit: None,
    };
    app.live(inbox).await
}

fn http_client(config: &Config) -> io::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none());
    // Without TLS the system's certificates need not be read, nor be there.
    let builder = if config.url.starts_with("ws://") {
        builder.tls_certs_only([])
    } else {
        builder
    };
    builder.build().map_err(io::Error::other)
}

impl App {
    async fn live(mut self, mut inbox: Inbox) -> io::Result<Exit> {
        while self.exit.is_none() {
            self.tick();
            let room = self.pump()?;
            let out = self
                .connection
                .as_ref()
                .filter(|_| !room)
                .map(|connection| connection.out.clone());
            tokio::select! {
                Some(heard) = inbox.heard.recv() => self.heard(heard)?,
                Some(prepared) = inbox.prepared.recv() => self.prepared(prepared).await?,
                Some(news) = inbox.news.recv() => self.news(news)?,
                Some(outcome) = inbox.outcomes.recv() => self.outcome(outcome)?,
                // The permit itself is not used: the next round finds the room.
                () = wait_for_room(out), if !room => {}
                () = tokio::time::sleep(self.pause(room)) => {}
                _ = inbox.terminate.recv() => self.exit = Some(Exit::Done),
                _ = inbox.interrupt.recv() => self.exit = Some(Exit::Done),
            }
        }
        if let Some(engine) = self.state.get().engine {
            process::end(&engine);
        }
        Ok(self.exit.unwrap_or(Exit::Done))
    }

    fn pause(&self, room: bool) -> Duration {
        let now = clock::now().millis();
        let mut until = self.link.next_tick();
        if room
            && self.link.up()
            && let Some(due) = self.streams.next_due(self.link.sent())
        {
            until = until.min(due);
        }
        if let Some(due) = self.bridge.as_ref().and_then(Bridge::next_tick) {
            until = until.min(due);
        }
        clock::until(until, now).min(LONGEST)
    }

    fn tick(&mut self) {
        let now = clock::now();
        if self.link.next_tick() <= now.millis() {
            self.link_input(Input::Tick);
        }
        if let Some(bridge) = &mut self.bridge {
            bridge.tick(now);
        }
    }

    fn link_input(&mut self, input: Input) {
        let greeting = Greeting {
            generation: self.config.generation,
            spool: self.spool.id().clone(),
            last: self.spool.last(),
            turn: self.spool.reported().turn.clone(),
            ready: self.bridge.as_ref().is_some_and(Bridge::ready),
        };
        let actions = self.link.handle(input, &greeting, clock::now().millis(), ids::jitter());
        self.token.send_if_modified(|token| {
            let fresh = token.as_str() != self.link.token();
            if fresh {
                self.link.token().clone_into(token);
            }
            fresh
        });
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial(token) => {
                self.dialled += 1;
                let url = self.config.link_url();
                self.connection = Some(socket::dial(self.dialled, url, token, self.tell.heard.clone()));
            }
            Action::Send(frame) => self.send(&frame),
            Action::Ping => {
                self.send_text("ping".to_owned());
            }
            Action::Welcomed(setup) => {
                self.streams.reconnected();
                if self.setup.is_none() {
                    self.begin(*setup);
                }
            }
            Action::Forget(acked) => {
                if let Err(error) = self.spool.forget(acked) {
                    tracing::error!(%error, "the spool could not be shortened");
                    self.exit = Some(Exit::Broken);
                }
            }
            Action::Deliver(frame) => self.command(frame),
            Action::Drop => self.connection = None,
            Action::Exit(exit) => self.exit = Some(exit),
        }
    }

    fn send(&self, frame: &RunnerFrame) {
        match serde_json::to_string(frame) {
            Ok(text) => self.send_text(text),
            Err(error) => tracing::error!(%error, "a frame could not be written"),
        }
    }

    /// For small frames that need no order; there is room, or the connection is dead and will be given up.
    fn send_text(&self, text: String) {
        if let Some(connection) = &self.connection {
            let _ = connection.out.try_send(text);
        }
    }

    fn heard(&mut self, heard: Heard) -> io::Result<()> {
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.number == heard.connection)
        {
            self.link_input(heard.input);
        }
        self.settle()
    }

    fn command(&mut self, frame: AgentFrame) {
        let now = clock::now();
        match (frame, &mut self.bridge) {
            (AgentFrame::Saved { part_id, len }, _) => self.streams.saved(&part_id, len),
            (AgentFrame::Resend { part_id, from }, _) => self.streams.resend(&part_id, from),
            (AgentFrame::Shutdown {}, _) => self.exit = Some(Exit::Done),
            (
                AgentFrame::Run {
                    turn_id,
                    text,
                    model,
                    author,
                },
                Some(bridge),
            ) => {
                let run = Run {
                    turn: turn_id,
                    text,
                    model,
                    author,
                };
                let out = bridge.run(run, &self.streams, now);
                self.take(out);
            }
            (
                AgentFrame::Steer {
                    turn_id: turn,
                    prompt_id: prompt,
                    text,
                    model,
                },
                bridge,
            ) => {
                let steer = Steer {
                    turn,
                    prompt,
                    text,
                    model,
                };
                let out = match bridge {
                    Some(bridge) => bridge.steer(steer, now),
                    None => vec![Output::Event(steer.refused(cause::not_running()))],
                };
                self.take(out);
            }
            (AgentFrame::Abort { turn_id }, Some(bridge)) => {
                let out = bridge.abort(&turn_id, &self.streams, now);
                self.take(out);
            }
            (AgentFrame::Resolve { interaction_id, answer }, Some(bridge)) => bridge.resolve(interaction_id, answer),
            (
                AgentFrame::Run { .. }
                | AgentFrame::Save {}
                | AgentFrame::Abort { .. }
                | AgentFrame::Resolve { .. }
                | AgentFrame::Welcome { .. }
                | AgentFrame::Ack { .. }
                | AgentFrame::Token { .. },
                _,
            ) => {}
        }
    }

    fn news(&mut self, news: EngineNews) -> io::Result<()> {
        if let Some(bridge) = &mut self.bridge {
            let out = bridge.news(news, &self.streams, self.spool.reported(), clock::now());
            self.take(out);
        }
        self.settle()
    }

    fn outcome(&mut self, outcome: Outcome) -> io::Result<()> {
        if let Some(bridge) = &mut self.bridge {
            let out = bridge.outcome(outcome, &self.streams, clock::now());
            self.take(out);
        }
        self.settle()
    }

    fn settle(&self) -> io::Result<()> {
        if self.exit == Some(Exit::Broken) {
            Err(io::Error::other("the spool cannot be written"))
        } else {
            Ok(())
        }
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Event(event) => self.report(event),
                Output::Append(part, text) => self.streams.append(&part, &text),
                Output::Set(part, text) => self.streams.set(&part, &text),
                Output::Lost(part) => self.streams.close(&part),
            }
        }
    }

    fn report(&mut self, event: RunnerEvent) {
        let mut opened = None;
        if let RunnerEvent::PartStarted { part, .. } = &event {
            let every = if matches!(part.body, PartBody::Tool { .. }) {
                streams::TOOL_EVERY
            } else {
                streams::TEXT_EVERY
            };
            opened = part.streaming_text().map(|_| (part.id.clone(), every));
        } else if let RunnerEvent::PartFinished {
            part: Part { id, .. }, ..
        }
        | RunnerEvent::PartRemoved { part_id: id, .. } = &event
        {
            self.streams.close(id);
        }
        match self.spool.append(clock::now(), event) {
            Ok(rseq) => {
                if let Some((part, every)) = opened {
                    self.streams.open(part, rseq, every);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the spool could not be written");
                self.exit = Some(Exit::Broken);
            }
        }
    }

    /// Sends what can be sent. `false` when the connection has no room for more.
    fn pump(&mut self) -> io::Result<bool> {
        let Some(out) = self.connection.as_ref().map(|connection| connection.out.clone()) else {
            return Ok(true);
        };
        if !self.link.up() {
            return Ok(true);
        }
        let now = clock::now().millis();
        loop {
            let Ok(permit) = out.try_reserve() else {
                return Ok(out.is_closed());
            };
            if let Some(rseq) = self.link.next_event(self.spool.last()) {
                permit.send(self.spool.frame(rseq)?);
            } else if let Some(delta) = self.streams.next(now, self.link.sent()) {
                permit.send(serde_json::to_string(&RunnerFrame::Delta(delta))?);
            } else if self.streams.flush(now) {
                permit.send(serde_json::to_string(&RunnerFrame::Flush {})?);
            } else {
                return Ok(true);
            }
        }
    }
}

async fn wait_for_room(out: Option<mpsc::Sender<String>>) {
    match out {
        Some(out) => drop(out.reserve().await),
        None => std::future::pending().await,
    }
}
