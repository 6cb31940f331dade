//! The live feed of one person: `GET /api/events` (SSE) and `/api/events/ws` from the EventBus.
//!
//! Positions (`rev`) count changes of the org's session index; a reader resumes with `?after=REV` or
//! `Last-Event-ID`. Without a position the first frame is `hello` with the present position, and the reader takes
//! the list from `GET /api/sessions`.

use serde::{Deserialize, Serialize};

use crate::ids::SessionId;
use crate::session::Session;

/// To the listener, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum BusFrame {
    /// First frame.
    Hello {
        /// The present position.
        rev: u64,
    },
    /// A session is new or changed.
    Session {
        /// Position of the change.
        rev: u64,
        /// All of its summary.
        session: Session,
    },
    /// A session was removed from the index.
    Removed {
        /// Position of the change.
        rev: u64,
        /// Which.
        session_id: SessionId,
    },
}
