//! The runner's heart: one task that owns link, spool, streams and bridge, and passes everything between them.
//!
//! Decides nothing itself: the link's rules are in [`crate::link::core`], the turns' in [`crate::bridge`]. An event
//! is in the spool before it is sent; a disk that does not take it ends the turn and the process ([`commands`]).

mod commands;
mod output;
mod start;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use errand_protocol::ids::{PartId, TurnId};
use errand_protocol::runner::{RunnerEvent, RunnerFrame, RunnerSetup, SandboxEnvironment};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};

use crate::bridge::calls::Outcome;
use crate::bridge::driver::Bridge;
use crate::cause::StartFailure;
use crate::clock;
use crate::config::Config;
use crate::egress;
use crate::engine::process;
use crate::engine::supervisor::{EngineNews, Workspace};
use crate::git::CheckedOut;
use crate::ids;
use crate::link::core::{Action, Exit, Greeting, Input, Link};
use crate::link::socket::{self, Connection, Heard};
use crate::mask::{Masks, Stream};
use crate::snapshot::saver::{Engine, Report, Saver, Wish};
use crate::snapshot::transfer::Transfer;
use crate::spool::Spool;
use crate::state::StateFile;
use crate::streams::Streams;

/// Inputs that wait, at most, before their source has to.
const INBOX: usize = 256;
/// The longest sleep between two looks at the timers.
const LONGEST: Duration = Duration::from_mins(1);

/// What the tasks around the heart tell it.
struct Inbox {
    heard: mpsc::Receiver<Heard>,
    prepared: mpsc::Receiver<Prepared>,
    news: mpsc::Receiver<EngineNews>,
    outcomes: mpsc::Receiver<Outcome>,
    reports: mpsc::Receiver<Report>,
    terminate: Signal,
    interrupt: Signal,
}

/// Where the tasks tell it.
struct Outbox {
    heard: mpsc::Sender<Heard>,
    prepared: mpsc::Sender<Prepared>,
    news: mpsc::Sender<EngineNews>,
    outcomes: mpsc::Sender<Outcome>,
}

/// How far the start is.
enum Prepared {
    /// What the repository's policy gives this sandbox is known, or cannot be had.
    Given(Box<Result<SandboxEnvironment, String>>),
    /// The workspace is there; with what is checked out in it when it was just made.
    Filled(Result<Option<CheckedOut>, StartFailure>),
    /// The set-up script has printed this.
    Said(String),
    /// The set-up script has run.
    SetUp(Result<(), StartFailure>),
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
    /// What the repository's policy gave.
    given: SandboxEnvironment,
    /// What is to be masked in all that is reported.
    masks: watch::Sender<Masks>,
    /// Open parts whose text comes in pieces.
    masked: BTreeMap<PartId, Stream>,
    bridge: Option<Bridge>,
    http: reqwest::Client,
    tell: Outbox,
    wishes: mpsc::Sender<Wish>,
    /// What the engine's supervisor knows of the workspace.
    workspace: watch::Sender<Workspace>,
    /// What the saver knows of the engine.
    running: watch::Sender<Option<Engine>>,
    closing: Option<commands::Closing>,
    /// The disk is full, the last word is in the spool: until when it may be told.
    leaving: Option<i64>,
    exit: Option<Exit>,
}

/// Runs until the work is over; the exit says why.
///
/// # Errors
/// When the state directory or the network stack cannot be used at all.
pub async fn run(config: Config) -> io::Result<Exit> {
    std::fs::create_dir_all(&config.state)?;
    let spool = Spool::open(&config.state.join("spool.jsonl"), config.spool_limit)?;
    let state = StateFile::open(&config.state.join("runner.json"));
    let (heard_in, heard) = mpsc::channel(INBOX);
    let (prepared_in, prepared) = mpsc::channel(1);
    let (news_in, news) = mpsc::channel(INBOX);
    let (outcomes_in, outcomes) = mpsc::channel(INBOX);
    let (reports_in, reports) = mpsc::channel(INBOX);
    let (wishes, wanted) = mpsc::channel(INBOX);
    let running = watch::Sender::new(None);
    let masks = watch::Sender::new(Masks::default());
    let token = watch::Sender::new(config.token.clone());
    let http = http_client(&config)?;
    if let Some(file) = config.egress.clone() {
        tokio::spawn(egress::report(file, reports_in.clone()));
    }
    let saver = Saver {
        config: config.clone(),
        state: state.clone(),
        transfer: Transfer::new(&config, http.clone(), token.subscribe()),
        engine: running.subscribe(),
        token: token.subscribe(),
        masks: masks.subscribe(),
        reports: reports_in,
        index: Mutex::new(()),
    };
    tokio::spawn(saver.run(wanted));
    let inbox = Inbox {
        heard,
        prepared,
        news,
        outcomes,
        reports,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let app = App {
        link: Link::new(config.token.clone()),
        token,
        http,
        config,
        state,
        spool,
        streams: Streams::default(),
        connection: None,
        dialled: 0,
        setup: None,
        given: SandboxEnvironment::default(),
        masks,
        masked: BTreeMap::new(),
        bridge: None,
        tell: Outbox {
            heard: heard_in,
            prepared: prepared_in,
            news: news_in,
            outcomes: outcomes_in,
        },
        wishes,
        workspace: watch::Sender::new(Workspace::Coming),
        running,
        closing: None,
        leaving: None,
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
                Some(prepared) = inbox.prepared.recv() => self.prepared(prepared)?,
                Some(news) = inbox.news.recv(), if self.takes_news() => self.news(news)?,
                Some(outcome) = inbox.outcomes.recv() => self.outcome(outcome)?,
                // The permit itself is not used: the next round finds the room.
                () = wait_for_room(out), if !room => {}
                () = tokio::time::sleep(self.pause(room)) => {}
                Some(report) = inbox.reports.recv() => self.reported(report)?,
                _ = inbox.terminate.recv() => self.close(),
                _ = inbox.interrupt.recv() => self.close(),
            }
            self.closing_goes_on();
        }
        if let Some(engine) = self.state.get().engine {
            process::end(&engine);
        }
        Ok(self.exit.unwrap_or(Exit::Done))
    }

    fn takes_news(&self) -> bool {
        self.bridge.as_ref().is_none_or(Bridge::takes_news)
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
        if let Some(due) = self.closing_due() {
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
            turn: self.working_on(),
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

    /// The turn that goes on: the one that was reported, or the one that the engine may have been given unreported.
    fn working_on(&self) -> Option<TurnId> {
        let reported = self.spool.reported();
        let unreported = || self.state.read(|state| Some(state.unreported(reported)?.turn.clone()));
        reported.turn.clone().or_else(unreported)
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

    fn reported(&mut self, report: Report) -> io::Result<()> {
        self.report(report.event);
        if report.answer {
            self.saved();
        }
        self.settle()
    }

    fn news(&mut self, news: EngineNews) -> io::Result<()> {
        match &news {
            EngineNews::Restored { snapshot, losses } => {
                let loss = Some(losses.join(" ")).filter(|loss| !loss.is_empty());
                self.report(RunnerEvent::SnapshotRestored {
                    snapshot_id: snapshot.clone(),
                    loss,
                });
                self.state.update(|state| state.snapshot.conversation = None)?;
            }
            EngineNews::Up {
                api, session, version, ..
            } => {
                let engine = Engine {
                    api: api.clone(),
                    root: session.clone(),
                    version: version.clone(),
                };
                self.running.send_replace(Some(engine));
            }
            EngineNews::Died(_) | EngineNews::Failed(_) => drop(self.running.send_replace(None)),
            EngineNews::Event(_) | EngineNews::Gap => {}
        }
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
}

async fn wait_for_room(out: Option<mpsc::Sender<String>>) {
    match out {
        Some(out) => drop(out.reserve().await),
        None => std::future::pending().await,
    }
}
