//! Close codes of both WebSockets. 4000–4999 belong to the application (RFC 6455 §7.4.2).

use serde::{Deserialize, Serialize};

/// Why the SessionAgent closed a socket, and whether dialling again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16")]
#[serde(try_from = "u16")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, type = "number"))]
pub enum CloseCode {
    /// 1000: the peer asked for it, or the work is over.
    Normal,
    /// 4400: a frame that could not be read. Dialling again would repeat it.
    BadFrame,
    /// 4401: the token is missing, forged or expired. Get a new one first.
    Unauthenticated,
    /// 4404: no such session, or not yours.
    NotFound,
    /// 4408: no frame for too long. Dial again.
    Silent,
    /// 4409: a newer runner generation took over. Exit.
    Replaced,
    /// 4410: the session is terminated. Exit.
    Terminated,
    /// 4413: a frame over the size limit.
    TooLarge,
    /// 4426: another protocol version. Reload the page, or update the runner.
    ProtocolMismatch,
    /// 4429: the peer reads too slowly or there are too many. Dial again and catch up by pages.
    Overloaded,
    /// 4500: our fault. Dial again with back-off.
    Internal,
}

impl CloseCode {
    const ALL: [Self; 11] = [
        Self::Normal,
        Self::BadFrame,
        Self::Unauthenticated,
        Self::NotFound,
        Self::Silent,
        Self::Replaced,
        Self::Terminated,
        Self::TooLarge,
        Self::ProtocolMismatch,
        Self::Overloaded,
        Self::Internal,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::BadFrame => 4400,
            Self::Unauthenticated => 4401,
            Self::NotFound => 4404,
            Self::Silent => 4408,
            Self::Replaced => 4409,
            Self::Terminated => 4410,
            Self::TooLarge => 4413,
            Self::ProtocolMismatch => 4426,
            Self::Overloaded => 4429,
            Self::Internal => 4500,
        }
    }

    /// Whether the same peer may dial again at once (with back-off).
    pub const fn retryable(self) -> bool {
        match self {
            Self::Silent | Self::Overloaded | Self::Internal => true,
            Self::Normal
            | Self::BadFrame
            | Self::Unauthenticated
            | Self::NotFound
            | Self::Replaced
            | Self::Terminated
            | Self::TooLarge
            | Self::ProtocolMismatch => false,
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.code()
    }
}

/// A close code that is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown close code {0}")]
pub struct UnknownCloseCode(pub u16);

impl TryFrom<u16> for CloseCode {
    type Error = UnknownCloseCode;
    fn try_from(code: u16) -> Result<Self, UnknownCloseCode> {
        Self::ALL
            .into_iter()
            .find(|c| c.code() == code)
            .ok_or(UnknownCloseCode(code))
    }
}
