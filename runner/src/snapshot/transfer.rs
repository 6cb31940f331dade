//! Snapshots on their way to the control plane and back: `PUT` and `GET /runner/{session}/snapshots/{id}`.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use errand_protocol::ids::SnapshotId;
use errand_protocol::limits::MAX_SNAPSHOT_BYTES;
use futures_util::stream;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use tokio::sync::watch;

use crate::config::Config;

const PIECE: usize = 64 * 1024;
/// One transfer may take so long.
const LIMIT: Duration = Duration::from_mins(3);
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Why a transfer failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// It is larger than the control plane takes.
    #[error("it is too large")]
    TooLarge,
    /// Trying again would not help.
    #[error("the control plane refused it with status {0}")]
    Refused(u16),
    /// It was tried several times.
    #[error("{0}")]
    Failed(String),
    /// The disk of the sandbox.
    #[error("the sandbox's disk failed: {0}")]
    Disk(String),
}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

/// The way to the control plane.
#[derive(Debug, Clone)]
pub struct Transfer {
    http: reqwest::Client,
    base: String,
    token: watch::Receiver<String>,
}

impl Transfer {
    /// For the session of `config`, with whatever token is current.
    pub fn new(config: &Config, http: reqwest::Client, token: watch::Receiver<String>) -> Self {
        Self {
            http,
            base: format!("{}/runner/{}/snapshots", config.http_url(), config.session),
            token,
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", *self.token.borrow())
    }

    /// Uploads a file.
    ///
    /// # Errors
    /// When the control plane does not take it, however often it is tried.
    pub async fn put(&self, id: &SnapshotId, file: &Path) -> Result<(), TransferError> {
        let mut patience = Patience::new();
        loop {
            match self.put_once(id, file).await {
                Ok(()) => return Ok(()),
                Err(trouble) => patience.with(trouble).await?,
            }
        }
    }

    async fn put_once(&self, id: &SnapshotId, file: &Path) -> Result<(), Trouble> {
        let length = std::fs::metadata(file)?.len();
        let request = self
            .http
            .put(format!("{}/{id}", self.base))
            .header(AUTHORIZATION, self.bearer())
            .header(CONTENT_TYPE, "application/gzip")
            .header(CONTENT_LENGTH, length)
            .timeout(LIMIT)
            .body(reqwest::Body::wrap_stream(pieces(File::open(file)?)));
        check(request.send().await).map(drop)
    }

    /// Downloads into a file.
    ///
    /// # Errors
    /// When it is not there, or cannot be had, however often it is tried.
    pub async fn get(&self, id: &SnapshotId, file: &Path) -> Result<(), TransferError> {
        let mut patience = Patience::new();
        loop {
            match self.get_once(id, file).await {
                Ok(()) => return Ok(()),
                Err(trouble) => patience.with(trouble).await?,
            }
        }
    }

    async fn get_once(&self, id: &SnapshotId, file: &Path) -> Result<(), Trouble> {
        let request = self
            .http
            .get(format!("{}/{id}", self.base))
            .header(AUTHORIZATION, self.bearer())
            .timeout(LIMIT);
        let mut response = check(request.send().await)?;
        let mut out = File::create(file)?;
        let mut length = 0;
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| Trouble::Passing(error.without_url().to_string()))?;
            let Some(chunk) = chunk else { return Ok(()) };
            length += chunk.len() as u64;
            if length > MAX_SNAPSHOT_BYTES {
                return Err(Trouble::Lasting(TransferError::TooLarge));
            }
            out.write_all(&chunk)?;
        }
    }
}

/// How often and how fast something is tried.
struct Patience {
    tries: u32,
    pause: Duration,
}

impl Patience {
    const fn new() -> Self {
        Self {
            tries: 0,
            pause: FIRST_PAUSE,
        }
    }

    async fn with(&mut self, trouble: Trouble) -> Result<(), TransferError> {
        self.tries += 1;
        match trouble {
            Trouble::Lasting(error) => Err(error),
            Trouble::Passing(said) if self.tries >= TRIES => Err(TransferError::Failed(said)),
            Trouble::Passing(said) => {
                tracing::warn!(said, self.tries, "a snapshot's transfer failed");
                tokio::time::sleep(self.pause).await;
                self.pause *= 3;
                Ok(())
            }
        }
    }
}

enum Trouble {
    /// It may go away.
    Passing(String),
    Lasting(TransferError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Lasting(error.into())
    }
}

fn check(sent: reqwest::Result<reqwest::Response>) -> Result<reqwest::Response, Trouble> {
    let response = sent.map_err(|error| Trouble::Passing(format!("no answer ({})", error.without_url())))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(match status {
        StatusCode::PAYLOAD_TOO_LARGE => Trouble::Lasting(TransferError::TooLarge),
        // A fresh token may be on its way.
        StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Trouble::Passing(format!("status {status}"))
        }
        _ if status.is_client_error() => Trouble::Lasting(TransferError::Refused(status.as_u16())),
        _ => Trouble::Passing(format!("status {status}")),
    })
}

fn pieces(file: File) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some(file), async |file| {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
}
