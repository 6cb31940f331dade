//! The spool: the append-only file of events that the SessionAgent has not acked yet.
//!
//! One JSON line per event, after a header line with the file's id, the number before its first event, and the fold
//! of everything that was dropped ([`Reported`]). A line is written whole before it is sent, so killing the runner
//! loses nothing; it is not synced to the disk, so a power cut may (the engine's own messages then fill the gap).
//! A torn last line was never sent: it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use errand_protocol::ids::SpoolId;
use errand_protocol::runner::{RunnerEvent, RunnerFrame};
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids;
use crate::reported::Reported;

/// Room on the disk that is kept for the last word when it is full.
const RESERVE: usize = 64 * 1024;
/// Acked bytes that are worth a rewrite of the file.
const REWRITE_AT: u64 = 4 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    spool: SpoolId,
    base: u64,
    reported: Reported,
}

/// The spool, open for writing.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    id: SpoolId,
    /// Number before the first line.
    base: u64,
    /// Where each line begins, then where the file ends.
    offsets: Vec<u64>,
    acked: u64,
    reported: Reported,
    /// So many bytes may wait for an ack.
    limit: u64,
}

/// Whether an error says that there is no room.
pub fn full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl Spool {
    /// Opens the spool at `path`, or starts a new one when there is none that can be read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let mut spool = match Self::load(path) {
            Ok(Some(spool)) => spool,
            Ok(None) => Self::create(path)?,
            Err(error) => {
                tracing::warn!(%error, "the spool cannot be read; a new one begins");
                Self::create(path)?
            }
        };
        spool.limit = limit;
        // Written, not only sized: a hole takes no room.
        std::fs::write(spool.reserve(), vec![b'.'; RESERVE])?;
        Ok(spool)
    }

    fn reserve(&self) -> PathBuf {
        self.path.with_extension("reserve")
    }

    fn create(path: &Path) -> io::Result<Self> {
        let header = Header {
            spool: ids::spool_id()?,
            base: 0,
            reported: Reported::default(),
        };
        let (file, end) = write_file(path, &header, &[])?;
        Ok(Self {
            path: path.to_owned(),
            file,
            id: header.spool,
            base: 0,
            offsets: vec![end],
            acked: 0,
            reported: header.reported,
            limit: u64::MAX,
        })
    }

    fn load(path: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let mut end = reader.read_until(b'\n', &mut line)? as u64;
        let Header {
            spool,
            base,
            mut reported,
        } = serde_json::from_slice(&line)?;
        let mut offsets = vec![end];
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)? as u64;
            let expected = base + offsets.len() as u64;
            match whole_line(&line) {
                Some((rseq, body)) if rseq == expected => reported.apply(&body),
                _ => break,
            }
            end += read;
            offsets.push(end);
        }
        drop(reader);
        file.set_len(end)?;
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            id: spool,
            base,
            offsets,
            acked: base,
            reported,
            limit: u64::MAX,
        }))
    }

    /// The file's id.
    pub const fn id(&self) -> &SpoolId {
        &self.id
    }

    /// Number of the last event; 0 when none was ever written.
    pub fn last(&self) -> u64 {
        self.base + self.offsets.len() as u64 - 1
    }

    /// Whether everything is stored elsewhere.
    pub fn all_acked(&self) -> bool {
        self.acked >= self.last()
    }

    /// What the events up to now say.
    pub const fn reported(&self) -> &Reported {
        &self.reported
    }

    /// Writes an event and gives its number.
    ///
    /// # Errors
    /// When the disk is full or gone: nothing can be promised any more, the caller must stop.
    pub fn append(&mut self, at: Timestamp, body: RunnerEvent) -> io::Result<u64> {
        let acked = usize::try_from(self.acked - self.base).map_err(io::Error::other)?;
        let waiting = self.end() - self.offsets.get(acked).copied().unwrap_or_default();
        if waiting >= self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.write(at, body)
    }

    /// Writes the last event of all, with the room that was kept for it.
    ///
    /// # Errors
    /// When there is not even that.
    pub fn append_last(&mut self, at: Timestamp, body: RunnerEvent) -> io::Result<u64> {
        std::fs::remove_file(self.reserve())?;
        // The begin of a line that did not fit.
        self.file.set_len(self.end())?;
        self.write(at, body)
    }

    fn write(&mut self, at: Timestamp, body: RunnerEvent) -> io::Result<u64> {
        let rseq = self.last() + 1;
        let frame = RunnerFrame::Event { rseq, at, body };
        let mut line = serde_json::to_vec(&frame)?;
        line.push(b'\n');
        let begin = self.end();
        self.file.write_all_at(&line, begin)?;
        self.offsets.push(begin + line.len() as u64);
        if let RunnerFrame::Event { body, .. } = frame {
            self.reported.apply(&body);
        }
        Ok(rseq)
    }

    /// The frame with this number, as it goes over the wire.
    ///
    /// # Errors
    /// When it was dropped, or the file cannot be read.
    pub fn frame(&self, rseq: u64) -> io::Result<String> {
        let bounds = rseq.checked_sub(self.base + 1).and_then(|at| {
            let at = usize::try_from(at).ok()?;
            Some((*self.offsets.get(at)?, *self.offsets.get(at + 1)?))
        });
        let Some((begin, end)) = bounds else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("event {rseq} is not in the spool"),
            ));
        };
        let length = usize::try_from(end - begin).map_err(io::Error::other)?;
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, begin)?;
        line.pop();
        String::from_utf8(line).map_err(io::Error::other)
    }

    /// Everything up to `acked` is stored elsewhere. The file shrinks when that is worth it.
    ///
    /// # Errors
    /// When the smaller file cannot be written.
    pub fn forget(&mut self, acked: u64) -> io::Result<()> {
        self.acked = self.acked.max(acked.min(self.last()));
        let at = usize::try_from(self.acked - self.base).map_err(io::Error::other)?;
        let Some(begin) = self.offsets.get(at).copied() else {
            return Ok(());
        };
        let first = self.offsets.first().copied().unwrap_or(begin);
        let all = self.acked == self.last() && self.reported.turn.is_none();
        if begin == first || !(all || begin - first > REWRITE_AT) {
            return Ok(());
        }
        self.rewrite(at, begin)
    }

    fn rewrite(&mut self, at: usize, begin: u64) -> io::Result<()> {
        let length = usize::try_from(self.end() - begin).map_err(io::Error::other)?;
        let mut rest = vec![0; length];
        self.file.read_exact_at(&mut rest, begin)?;
        let header = Header {
            spool: self.id.clone(),
            base: self.acked,
            reported: self.reported.clone(),
        };
        let (file, first) = write_file(&self.path, &header, &rest)?;
        self.file = file;
        self.base = self.acked;
        self.offsets = self
            .offsets
            .iter()
            .skip(at)
            .map(|offset| offset - begin + first)
            .collect();
        Ok(())
    }

    fn end(&self) -> u64 {
        self.offsets.last().copied().unwrap_or_default()
    }
}

/// Writes header and rest beside the file, then puts it in its place: at no moment is there half a spool.
fn write_file(path: &Path, header: &Header, rest: &[u8]) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)?;
    let mut head = serde_json::to_vec(header)?;
    head.push(b'\n');
    file.write_all(&head)?;
    file.write_all(rest)?;
    std::fs::rename(&beside, path)?;
    Ok((file, head.len() as u64))
}

fn whole_line(line: &[u8]) -> Option<(u64, RunnerEvent)> {
    let text = line.strip_suffix(b"\n")?;
    match serde_json::from_slice(text).ok()? {
        RunnerFrame::Event { rseq, body, .. } => Some((rseq, body)),
        RunnerFrame::Hello { .. } | RunnerFrame::Delta(_) | RunnerFrame::Flush {} | RunnerFrame::RenewToken {} => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn title(n: u64) -> RunnerEvent {
        RunnerEvent::Title {
            title: format!("title {n}"),
        }
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn filled(path: &Path, count: u64) -> Spool {
        let mut spool = Spool::open(path, u64::MAX).unwrap();
        for n in 1..=count {
            assert_eq!(spool.append(at(), title(n)).unwrap(), n);
        }
        spool
    }

    #[test]
    fn a_reopened_spool_has_its_id_its_numbers_and_its_frames() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let (id, second) = {
            let spool = filled(&path, 3);
            (spool.id().clone(), spool.frame(2).unwrap())
        };
        let spool = Spool::open(&path, u64::MAX).unwrap();
        assert_eq!((spool.id(), spool.last()), (&id, 3));
        assert_eq!(spool.frame(2).unwrap(), second);
        assert!(second.contains("\"rseq\":2") && second.contains("title 2"));
        assert!(spool.frame(4).is_err() && spool.frame(0).is_err());
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_its_number_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        drop(filled(&path, 2));
        let whole = fs::read(&path).unwrap();
        for torn in [whole.len() - 1, whole.len() - 7] {
            fs::write(&path, &whole[..torn]).unwrap();
            let mut spool = Spool::open(&path, u64::MAX).unwrap();
            assert_eq!(spool.last(), 1, "cut at {torn}");
            assert_eq!(spool.append(at(), title(9)).unwrap(), 2);
            drop(spool);
            assert!(
                Spool::open(&path, u64::MAX)
                    .unwrap()
                    .frame(2)
                    .unwrap()
                    .contains("title 9")
            );
        }
    }

    #[test]
    fn acked_events_leave_the_file_and_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = filled(&path, 5);
        let before = fs::metadata(&path).unwrap().len();
        spool.forget(5).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < before);
        assert_eq!(spool.append(at(), title(6)).unwrap(), 6);
        let spool = Spool::open(&path, u64::MAX).unwrap();
        assert_eq!((spool.last(), spool.reported().title.as_deref()), (6, Some("title 6")));
        assert!(spool.frame(5).is_err());
        assert!(spool.frame(6).unwrap().contains("title 6"));
    }

    #[test]
    fn unacked_events_survive_a_rewrite_and_the_fold_keeps_what_was_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = Spool::open(&path, u64::MAX).unwrap();
        let turn = errand_protocol::ids::TurnId::from_body("1").unwrap();
        spool
            .append(at(), RunnerEvent::TurnAccepted { turn_id: turn.clone() })
            .unwrap();
        let big = "x".repeat(1024 * 1024);
        for _ in 0..6 {
            spool.append(at(), RunnerEvent::Title { title: big.clone() }).unwrap();
        }
        spool.forget(2).unwrap();
        assert!(spool.frame(1).is_ok(), "too little is acked for a rewrite");
        spool.forget(6).unwrap();
        assert!(spool.frame(6).is_err());
        assert!(spool.frame(7).unwrap().contains(&big));
        let spool = Spool::open(&path, u64::MAX).unwrap();
        assert_eq!(spool.reported().turn, Some(turn));
        assert_eq!(spool.last(), 7);
    }

    #[test]
    fn a_full_spool_has_room_for_one_last_word_and_takes_more_once_it_is_acked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = Spool::open(&path, 500).unwrap();
        let error = (1..).find_map(|n| spool.append(at(), title(n)).err()).unwrap();
        assert!(full(&error), "{error}");
        let last = spool.last();
        assert_eq!(spool.append_last(at(), title(99)).unwrap(), last + 1);
        assert!(!path.with_extension("reserve").exists());
        let mut spool = Spool::open(&path, 500).unwrap();
        assert!(spool.frame(last + 1).unwrap().contains("title 99"));
        assert!(spool.append(at(), title(100)).is_err());
        spool.forget(last).unwrap();
        assert_eq!(spool.append(at(), title(100)).unwrap(), last + 2);
    }

    #[test]
    fn an_unreadable_spool_is_replaced_by_one_with_another_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let id = filled(&path, 1).id().clone();
        fs::write(&path, b"garbage\n").unwrap();
        let spool = Spool::open(&path, u64::MAX).unwrap();
        assert_ne!(spool.id(), &id);
        assert_eq!(spool.last(), 0);
    }
}
