//! Viewers: they fold frames as the client does (events by position, previews of open parts, what a greeting says of
//! them), keep what they were shown over reconnects, and repeat commands that were not answered.

use std::collections::BTreeMap;
use std::rc::Rc;

use errand_protocol::event::{Event as LogEvent, EventBody};
use errand_protocol::ids::{CommandId, InteractionId, PartId, PromptId, Seq};
use errand_protocol::interaction::Ask;
use errand_protocol::limits::{FIRST_PAGE, MAX_EVENT_PAGE};
use errand_protocol::session::Person;
use errand_protocol::viewer::{ClientFrame, Command, Delta, OpenPart, ServerFrame};
use errand_session::Input;

use crate::event::Event;
use crate::make::person;
use crate::net::{ConnNo, Down, Peer, State, Up};
use crate::world::World;

/// A browser's tab.
#[derive(Debug)]
pub struct Viewer {
    /// Who looks.
    pub person: Person,
    /// Its connection.
    pub conn: Option<ConnNo>,
    /// It dials again when it has none.
    pub wants: bool,
    /// Position of the last event that it has.
    pub last: u64,
    /// The page begins here; 0 before the first greeting.
    pub known: bool,
    /// Texts of open parts, as shown.
    pub open: BTreeMap<PartId, Shown>,
    /// What the greeting said of open parts, until the events before it are here.
    awaiting: Option<(u64, Vec<OpenPart>)>,
    /// Commands without an answer.
    pub unanswered: Vec<ClientFrame>,
    /// Commands with one.
    pub answered: Vec<ClientFrame>,
    /// Questions that it saw.
    pub asks: BTreeMap<InteractionId, Ask>,
}

/// An open part's text as a viewer sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The text.
    pub text: String,
    /// Something before what came is missing: it waits for the whole part.
    pub gap: bool,
}

impl World {
    /// Viewer number `which`, which is made when it does not exist.
    pub fn viewer(&mut self, which: u32) -> usize {
        let number = which as usize % 3;
        while self.viewers.len() <= number {
            self.viewers.push(Viewer {
                person: person(self.viewers.len()),
                conn: None,
                wants: false,
                last: 0,
                known: false,
                open: BTreeMap::new(),
                awaiting: None,
                unanswered: Vec::new(),
                answered: Vec::new(),
                asks: BTreeMap::new(),
            });
        }
        number
    }

    /// A viewer dials.
    pub fn attach(&mut self, number: usize) {
        let viewer = &mut self.viewers[number];
        viewer.wants = true;
        if viewer.conn.is_some() {
            return;
        }
        let after = viewer.known.then_some(viewer.last);
        let conn = self.net.dial(
            self.seed,
            Peer::Viewer(number),
            errand_protocol::ids::Generation(0),
            self.calm,
        );
        self.viewers[number].conn = Some(conn);
        self.send_up(conn, Up::Open(after));
        self.later(15_000, Event::Impatient(number, conn));
    }

    /// A viewer goes; with a new page or with the same one when it comes again.
    pub fn detach(&mut self, number: usize, fresh: bool) {
        if let Some(conn) = self.viewers[number].conn.take() {
            self.hang_up(conn);
        }
        let viewer = &mut self.viewers[number];
        viewer.wants = false;
        if fresh {
            viewer.known = false;
            viewer.last = 0;
            viewer.open.clear();
            viewer.asks.clear();
        }
    }

    /// A dial that leads to nothing is given up.
    pub fn impatient(&mut self, number: usize, conn: ConnNo) {
        if self.viewers[number].conn == Some(conn) && self.net.conn(conn).other == State::Opening {
            self.viewer_closed(number, conn);
        }
    }

    /// A viewer hears that its connection is over.
    pub fn viewer_closed(&mut self, number: usize, conn: ConnNo) {
        if self.viewers[number].conn != Some(conn) {
            return;
        }
        self.viewers[number].conn = None;
        self.hang_up(conn);
        self.later(500, Event::Redial(number));
    }

    /// It dials again, when it wants to see anything.
    pub fn redial(&mut self, number: usize) {
        if self.viewers[number].wants {
            self.attach(number);
        }
    }

    /// A person commands. Without a connection it waits for one.
    pub fn command(&mut self, number: usize, command: Command) {
        self.counts.commands += 1;
        let id = CommandId::from_body(&self.counts.commands.to_string()).unwrap();
        let frame = ClientFrame { id, command };
        self.viewers[number].unanswered.push(frame.clone());
        self.send_command(number, frame);
    }

    /// Sends a command (again).
    pub fn send_command(&mut self, number: usize, frame: ClientFrame) {
        if let Some(conn) = self.viewers[number].conn
            && self.net.conn(conn).other == State::Open
        {
            self.send_up(conn, Up::Client(frame));
        }
    }

    // At the agent.

    /// A viewer's handshake arrives.
    pub fn accept_viewer(&mut self, conn: ConnNo, after: Option<u64>) {
        self.load();
        self.input(Input::Watched);
        self.load();
        let Some(session) = &self.agent.session else { return };
        let head = session.head_seq();
        let page = |count: u64| Seq(head.0.saturating_sub(count));
        let from = match after {
            Some(after) if after <= head.0 && head.0 - after <= u64::from(MAX_EVENT_PAGE) => Seq(after),
            Some(_) | None => page(u64::from(FIRST_PAGE)),
        };
        let hello = session.hello(from.next(), None, Vec::new());
        let log = self.agent.store.log();
        let events: Vec<LogEvent> = log
            .iter()
            .skip(usize::try_from(from.0).unwrap())
            .map(|e| (**e).clone())
            .collect();
        self.accept(conn);
        self.to_viewer(conn, hello);
        for page in events.chunks(100) {
            let events = page.to_vec();
            self.to_viewer(conn, ServerFrame::Events { events });
        }
    }

    /// A viewer's command arrives.
    pub fn viewer_commands(&mut self, conn: ConnNo, number: usize, frame: ClientFrame) {
        let by = self.viewers[number].person.clone();
        let id = frame.id.clone();
        let result = self.try_input(Input::Command {
            by,
            id: Some(frame.id),
            command: frame.command,
        });
        let frame = match result {
            Some(Ok(())) => ServerFrame::Ack { id },
            Some(Err(rejection)) => ServerFrame::Reject {
                id: Some(id),
                code: rejection.code,
                message: rejection.message,
            },
            None => ServerFrame::Reject {
                id: Some(id),
                code: errand_protocol::api::ErrorCode::Internal,
                message: String::new(),
            },
        };
        self.to_viewer(conn, frame);
        self.flush();
    }

    // At the viewer.

    /// Something arrived at a viewer.
    pub fn at_viewer(&mut self, number: usize, conn: ConnNo, item: &Down) {
        if self.viewers[number].conn != Some(conn) {
            return;
        }
        match item {
            Down::Accepted => {
                self.net.conn_mut(conn).other = State::Open;
                for frame in self.viewers[number].unanswered.clone() {
                    self.send_up(conn, Up::Client(frame));
                }
            }
            Down::Server(frame) => self.frame(number, Rc::as_ref(frame)),
            Down::Close(_) => self.viewer_closed(number, conn),
            Down::Agent(_) => {}
        }
    }

    fn frame(&mut self, number: usize, frame: &ServerFrame) {
        match frame {
            ServerFrame::Hello {
                head_seq,
                first_seq,
                open_parts,
                interactions,
                ..
            } => {
                self.greeted(number, head_seq.0, first_seq.0, open_parts);
                let asks = interactions.iter().map(|i| (i.id.clone(), i.ask.clone()));
                self.viewers[number].asks.extend(asks);
            }
            ServerFrame::Event { event } => self.shown(number, event),
            ServerFrame::Events { events } => events.iter().for_each(|event| self.shown(number, event)),
            ServerFrame::Delta(delta) => self.preview(number, delta),
            ServerFrame::Ack { id } => self.answered_command(number, id, true),
            ServerFrame::Reject { id: Some(id), code, .. } => {
                if *code != errand_protocol::api::ErrorCode::Internal {
                    self.answered_command(number, id, false);
                } else if let Some(conn) = self.viewers[number].conn {
                    // It is told again on the next connection.
                    self.viewer_closed(number, conn);
                }
            }
            ServerFrame::Session { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Check { .. }
            | ServerFrame::Reject { id: None, .. } => {}
        }
    }

    fn answered_command(&mut self, number: usize, id: &CommandId, ack: bool) {
        let viewer = &mut self.viewers[number];
        let Some(at) = viewer.unanswered.iter().position(|frame| frame.id == *id) else {
            return;
        };
        let frame = viewer.unanswered.remove(at);
        if ack {
            let by = viewer.person.id.clone();
            self.check_acked(&by, &frame);
        }
        if let (Command::Prompt { prompt_id, .. }, true) = (&frame.command, ack) {
            self.truth.accepted.insert(prompt_id.clone());
        }
        self.viewers[number].answered.push(frame);
    }

    fn greeted(&mut self, number: usize, head: u64, first: u64, open: &[OpenPart]) {
        let viewer = &mut self.viewers[number];
        assert!(
            !viewer.known || head >= viewer.last,
            "taken back: the log ends at {head}, a viewer has seen {}",
            viewer.last
        );
        if !viewer.known || first > viewer.last + 1 {
            viewer.last = first - 1;
            viewer.open.clear();
        }
        viewer.known = true;
        viewer.awaiting = Some((head, open.to_vec()));
        self.caught_up(number);
    }

    fn caught_up(&mut self, number: usize) {
        let viewer = &mut self.viewers[number];
        let last = viewer.last;
        let Some((_, open)) = viewer.awaiting.take_if(|(head, _)| *head <= last) else {
            return;
        };
        let mut before = std::mem::take(&mut viewer.open);
        for part in open {
            let id = part.part.id.clone();
            let told = part.part.streaming_text().unwrap_or_default().to_owned();
            self.check_said(&id, &told);
            // What was shown stays, when the greeting only knows less of it.
            let had = before.remove(&id).map(|shown| shown.text).unwrap_or_default();
            let text = if had.starts_with(&told) { had } else { told };
            self.viewers[number].open.insert(id, Shown { text, gap: false });
        }
        let gone = before.keys().next();
        assert!(
            gone.is_none(),
            "taken back: an open part that a viewer sees is no longer open: {gone:?}"
        );
    }

    fn shown(&mut self, number: usize, event: &LogEvent) {
        let seq = event.seq.0;
        let viewer = &mut self.viewers[number];
        assert!(
            seq <= viewer.last + 1,
            "gap: a viewer has events up to {}, and gets {seq}",
            viewer.last
        );
        self.check_event(event);
        if seq <= self.viewers[number].last {
            return;
        }
        let viewer = &mut self.viewers[number];
        viewer.last = seq;
        match &event.body {
            EventBody::PartStarted { part, .. } => {
                viewer.open.entry(part.id.clone()).or_default();
            }
            EventBody::PartFinished { part, .. } => {
                let shown = viewer.open.remove(&part.id);
                self.check_final(shown, part);
            }
            EventBody::PartRemoved { part_id, .. } => drop(viewer.open.remove(part_id)),
            EventBody::InteractionOpened { interaction } => {
                viewer.asks.insert(interaction.id.clone(), interaction.ask.clone());
            }
            EventBody::InteractionResolved { interaction_id, .. } => drop(viewer.asks.remove(interaction_id)),
            _ => {}
        }
        self.caught_up(number);
    }

    fn preview(&mut self, number: usize, delta: &Delta) {
        let Some(shown) = self.viewers[number].open.get_mut(&delta.part_id) else {
            return;
        };
        let had: Vec<u16> = if delta.reset {
            Vec::new()
        } else {
            shown.text.encode_utf16().collect()
        };
        let offset = delta.offset as usize;
        if !delta.reset && (shown.gap || offset > had.len()) {
            shown.gap = true;
            return;
        }
        shown.gap = false;
        let news: Vec<u16> = delta.text.encode_utf16().collect();
        let (before, after) = had.split_at(if delta.reset { 0 } else { offset });
        // What was kept over a greeting that knew less stays only as long as nothing else is said.
        if delta.reset || !after.starts_with(&news) {
            shown.text = String::from_utf16_lossy(before) + &delta.text;
        }
        let text = shown.text.clone();
        self.check_said(&delta.part_id, &text);
    }

    /// A prompt that a command may be about: one of the last ones.
    pub fn some_prompt(&self, which: u32) -> PromptId {
        let last = self.counts.prompts.max(1);
        crate::make::prompt_id(last - u64::from(which) % last.min(6))
    }
}
