//! Passes on what the sandbox was not let through to: reads the host's file, which only grows, and reports each line.
//! Decides nothing; the host bounds how much there is.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_protocol::egress::EgressRefusal;
use errand_protocol::runner::RunnerEvent;
use tokio::sync::mpsc;

use crate::snapshot::saver::Report;

/// Between two looks at the file: its size, nothing more while it is the same.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const PIECE: u64 = 64 * 1024;

/// Reports every line of the file, those that come later too, until nobody listens.
pub async fn report(file: PathBuf, reports: mpsc::Sender<Report>) {
    let mut read_to = 0;
    loop {
        for refusal in news(&file, &mut read_to).unwrap_or_default() {
            let report = Report {
                event: RunnerEvent::EgressRefused(refusal),
                answer: false,
            };
            if reports.send(report).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The whole lines after `read_to`, which moves behind them. A line that is no refusal is passed over.
fn news(path: &Path, read_to: &mut u64) -> io::Result<Vec<EgressRefusal>> {
    if std::fs::metadata(path)?.len() <= *read_to {
        return Ok(Vec::new());
    }
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(*read_to))?;
    let mut piece = Vec::new();
    file.take(PIECE).read_to_end(&mut piece)?;
    let mut found = Vec::new();
    for line in piece.split_inclusive(|byte| *byte == b'\n') {
        // The end of an unfinished line comes later; one that never ends is none of ours.
        if !line.ends_with(b"\n") && piece.len() < usize::try_from(PIECE).unwrap_or(usize::MAX) {
            break;
        }
        *read_to += line.len() as u64;
        found.extend(serde_json::from_slice::<EgressRefusal>(line));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn each_whole_line_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let mut read_to = 0;
        assert!(news(&path, &mut read_to).is_err());
        let mut file = std::fs::File::create(&path).unwrap();
        let hosts = |found: Vec<EgressRefusal>| found.into_iter().map(|refusal| refusal.host).collect::<Vec<_>>();
        writeln!(file, r#"{{"host":"a.example","port":443,"reason":"not_allowed"}}"#).unwrap();
        write!(file, "nonsense\n{{\"host\":\"b.example\",").unwrap();
        assert_eq!(hosts(news(&path, &mut read_to).unwrap()), ["a.example"]);
        assert_eq!(hosts(news(&path, &mut read_to).unwrap()), Vec::<String>::new());
        writeln!(file, r#""port":22,"reason":"private"}}"#).unwrap();
        assert_eq!(hosts(news(&path, &mut read_to).unwrap()), ["b.example"]);
        assert_eq!(hosts(news(&path, &mut read_to).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_an_end_does_not_stop_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let good = r#"{"host":"a.example","port":443,"reason":"not_allowed"}"#;
        std::fs::write(&path, format!("{}\n{good}\n", "x".repeat(100_000))).unwrap();
        let mut read_to = 0;
        assert_eq!(news(&path, &mut read_to).unwrap(), Vec::new());
        assert_eq!(news(&path, &mut read_to).unwrap().len(), 1);
    }
}
