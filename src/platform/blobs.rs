//! Objects in R2: keys, and streaming in and out without holding them in memory. Keys begin with the org.

use errand_protocol::ids::{OrgId, SessionId, SnapshotId};
use futures_util::future::join;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::ReadableStream;
use worker::worker_sys::FixedLengthStream;
use worker::{Bucket, HttpMetadata, ResponseBody};

/// Where a session's snapshot is.
pub fn snapshot_key(org: &OrgId, session: &SessionId, snapshot: &SnapshotId) -> String {
    format!("{}{snapshot}", snapshots_of(org, session))
}

/// What the keys of all of a session's snapshots begin with.
pub fn snapshots_of(org: &OrgId, session: &SessionId) -> String {
    format!("{org}/sessions/{session}/snapshots/")
}

/// An object as it is read: its bytes and how many they are.
pub struct Blob {
    /// The bytes.
    pub stream: ReadableStream,
    /// How many.
    pub length: u32,
}

/// Stores exactly `length` bytes of `stream`; when it has fewer or more nothing is stored.
///
/// # Errors
/// When the stream ends early or the bucket refuses.
pub async fn put(bucket: &Bucket, key: String, stream: ReadableStream, length: u32) -> worker::Result<()> {
    // R2 wants to know the length beforehand, and this pipe is how the platform is told.
    let fixed = FixedLengthStream::new(length)?;
    let piped = JsFuture::from(stream.pipe_to(&fixed.writable()));
    let metadata = HttpMetadata {
        content_type: Some("application/gzip".to_owned()),
        ..HttpMetadata::default()
    };
    let stored = bucket.put(key, fixed.readable()).http_metadata(metadata).execute();
    let (stored, piped) = join(stored, piped).await;
    stored?;
    piped?;
    Ok(())
}

/// Reads an object; `None` when there is none.
///
/// # Errors
/// When the bucket does not answer.
pub async fn get(bucket: &Bucket, key: String) -> worker::Result<Option<Blob>> {
    let Some(object) = bucket.get(key).execute().await? else {
        return Ok(None);
    };
    let length = u32::try_from(object.size()).map_err(|e| worker::Error::RustError(e.to_string()))?;
    let body = object.body().map(worker::ObjectBody::response_body).transpose()?;
    Ok(match body {
        Some(ResponseBody::Stream(stream)) => Some(Blob { stream, length }),
        Some(ResponseBody::Body(_) | ResponseBody::Empty) | None => None,
    })
}

/// Copies an object; `false` when there is none. Does nothing when the copy is there.
///
/// # Errors
/// When the bucket does not answer.
pub async fn copy(bucket: &Bucket, from: String, to: String) -> worker::Result<bool> {
    if bucket.head(&to).await?.is_some() {
        return Ok(true);
    }
    match get(bucket, from).await? {
        Some(blob) => put(bucket, to, blob.stream, blob.length).await.map(|()| true),
        None => Ok(false),
    }
}

/// Removes all objects whose keys begin with `prefix`, a thousand at most.
///
/// # Errors
/// When the bucket does not answer.
pub async fn delete_all(bucket: &Bucket, prefix: String) -> worker::Result<()> {
    let found = bucket.list().prefix(prefix).execute().await?;
    let keys: Vec<String> = found.objects().iter().map(worker::Object::key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    bucket.delete_multiple(keys).await
}
