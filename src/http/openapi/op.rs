//! One row of the API's table: an operation, and how a row is written.
//!
//! A row says what is particular to its operation. What follows from that is added by [`Op::errors`] and
//! [`super::document`]: parameters of the address, headers, the errors of signing in, of bodies and of queries.

use std::collections::BTreeSet;

use errand_access::Action;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may ask.
#[derive(Clone, Copy)]
pub(super) enum Who {
    /// Everybody.
    Everybody,
    /// Those who may do this.
    Person(Action),
    /// A sandbox with its token.
    Sandbox,
}

/// A parameter of the query.
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) schema: Value,
    pub(super) says: &'static str,
}

/// The body of a request.
pub(super) enum Body {
    /// JSON.
    Json { schema: SchemaOf, required: bool },
    /// Something else, of this media type.
    Other(&'static str),
}

/// One form of an answer.
pub(super) enum Content {
    /// JSON.
    Json(SchemaOf),
    /// Server-Sent Events, each with JSON like this as its data.
    Events(SchemaOf),
    /// Something else, of this media type.
    Other(&'static str),
}

/// An answer that is no error.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) contents: Vec<Content>,
    /// Headers of its own: name and what it says.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

/// The frames of a WebSocket.
pub(super) struct Frames {
    /// From the client; `None`: it says nothing.
    pub(super) client: Option<SchemaOf>,
    pub(super) server: SchemaOf,
}

/// One operation.
pub(super) struct Op {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Its name in generated clients; unique.
    pub(super) name: &'static str,
    pub(super) says: &'static str,
    pub(super) who: Who,
    pub(super) query: Vec<Query>,
    /// Whether it takes an `Idempotency-Key`.
    pub(super) keyed: bool,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) frames: Option<Frames>,
    /// Whether it is a file beside the Worker, and no route of it.
    pub(super) is_file: bool,
    errors: BTreeSet<u16>,
}

fn op(method: &'static str, path: &'static str, name: &'static str, says: &'static str) -> Op {
    Op {
        method,
        path,
        name,
        says,
        who: Who::Everybody,
        query: Vec::new(),
        keyed: false,
        body: None,
        answers: Vec::new(),
        frames: None,
        is_file: false,
        errors: BTreeSet::new(),
    }
}

/// `GET path`, with its name in generated clients and a sentence.
pub(super) fn get(path: &'static str, name: &'static str, says: &'static str) -> Op {
    op("get", path, name, says)
}

/// `POST path`.
pub(super) fn post(path: &'static str, name: &'static str, says: &'static str) -> Op {
    op("post", path, name, says)
}

/// `PUT path`.
pub(super) fn put(path: &'static str, name: &'static str, says: &'static str) -> Op {
    op("put", path, name, says)
}

/// `PATCH path`.
pub(super) fn patch(path: &'static str, name: &'static str, says: &'static str) -> Op {
    op("patch", path, name, says)
}

/// `DELETE path`.
pub(super) fn delete(path: &'static str, name: &'static str, says: &'static str) -> Op {
    op("delete", path, name, says)
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Op {
    /// Only those who may do this.
    pub(super) fn may(mut self, action: Action) -> Self {
        self.who = Who::Person(action);
        self
    }

    /// Only a sandbox.
    pub(super) fn sandbox(mut self) -> Self {
        self.who = Who::Sandbox;
        self
    }

    /// Takes this in the query.
    pub(super) fn query(mut self, name: &'static str, schema: Value, says: &'static str) -> Self {
        self.query.push(Query { name, schema, says });
        self
    }

    /// Takes an `Idempotency-Key`.
    pub(super) fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// Takes this as JSON.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        let (schema, required) = (schema_of::<T> as SchemaOf, true);
        self.body = Some(Body::Json { schema, required });
        self
    }

    /// Takes this as JSON, or nothing.
    pub(super) fn maybe_body<T: JsonSchema>(mut self) -> Self {
        let (schema, required) = (schema_of::<T> as SchemaOf, false);
        self.body = Some(Body::Json { schema, required });
        self
    }

    /// Takes a body of this media type.
    pub(super) fn upload(mut self, media_type: &'static str) -> Self {
        self.body = Some(Body::Other(media_type));
        self
    }

    /// Answers so, with these contents.
    pub(super) fn gives(mut self, status: u16, says: &'static str, contents: Vec<Content>) -> Self {
        self.answers.push(Answer {
            status,
            says,
            contents,
            headers: Vec::new(),
        });
        self
    }

    /// Answers with this as JSON.
    pub(super) fn answers<T: JsonSchema>(self, status: u16) -> Self {
        let says = match status {
            201 => "Made.",
            202 => "Taken in.",
            _ => "Done.",
        };
        self.gives(status, says, vec![Content::Json(schema_of::<T>)])
    }

    /// The same as made before: 200 instead of 201.
    pub(super) fn again<T: JsonSchema>(self) -> Self {
        self.gives(200, "It was made before.", vec![Content::Json(schema_of::<T>)])
    }

    /// Answers with this as JSON, or with a stream of those.
    pub(super) fn answers_or_streams<T: JsonSchema, E: JsonSchema>(self) -> Self {
        let contents = vec![Content::Json(schema_of::<T>), Content::Events(schema_of::<E>)];
        self.gives(200, "JSON; a stream with `Accept: text/event-stream`.", contents)
    }

    /// Answers with a stream of these.
    pub(super) fn streams<E: JsonSchema>(self) -> Self {
        let contents = vec![Content::Events(schema_of::<E>)];
        self.gives(200, "A stream that lasts until somebody ends it.", contents)
    }

    /// Answers with nothing.
    pub(super) fn nothing(self) -> Self {
        self.gives(204, "Done.", Vec::new())
    }

    /// Answers with these frames, after the protocol was switched.
    pub(super) fn socket<C: JsonSchema, S: JsonSchema>(mut self) -> Self {
        self.frames = Some(Frames {
            client: Some(schema_of::<C>),
            server: schema_of::<S>,
        });
        self.or(&[400, 422])
            .gives(101, "A WebSocket with frames of JSON text.", Vec::new())
    }

    /// Like [`Self::socket`], and the client says nothing but `ping`.
    pub(super) fn feed<S: JsonSchema>(mut self) -> Self {
        self.frames = Some(Frames {
            client: None,
            server: schema_of::<S>,
        });
        self.or(&[400])
            .gives(101, "A WebSocket with frames of JSON text.", Vec::new())
    }

    /// The last answer has this header.
    pub(super) fn header(mut self, name: &'static str, says: &'static str) -> Self {
        self.answers
            .last_mut()
            .expect("an answer comes first")
            .headers
            .push((name, says));
        self
    }

    /// May also fail so.
    pub(super) fn or(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// A file beside the Worker.
    pub(super) fn file(mut self) -> Self {
        self.is_file = true;
        self
    }

    /// Every status of an error.
    pub(super) fn errors(&self) -> BTreeSet<u16> {
        let mut all = self.errors.clone();
        if self.is_file {
            return all;
        }
        all.insert(500);
        match self.who {
            Who::Everybody => {}
            // 403: the role, the scope, another site. 429: API keys are counted.
            Who::Person(_) => all.extend([401, 403, 429]),
            Who::Sandbox => all.extend([401]),
        }
        if self.path.contains('{') {
            all.insert(404);
        }
        if !self.query.is_empty() {
            all.extend([400, 422]);
        }
        if self.keyed {
            all.insert(422);
        }
        match self.body {
            Some(Body::Json { .. }) => all.extend([400, 413, 415, 422]),
            Some(Body::Other(_)) => all.extend([400, 413]),
            None => {}
        }
        let own: BTreeSet<u16> = self.answers.iter().map(|answer| answer.status).collect();
        all.retain(|status| !own.contains(status));
        all
    }
}
