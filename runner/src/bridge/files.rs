//! What a turn changed, from the engine's summaries. Pure.

use std::collections::BTreeMap;

use errand_protocol::limits::MAX_PART_FIELD_BYTES;
use errand_protocol::session::{FileChange, FileStatus};
use serde_json::Value;

use super::parts::relative;
use crate::cut;

/// The changes of a turn: one summary for each of its prompts, oldest first. All patches together fit one event.
pub fn files(summaries: &[Value], workspace: &str) -> Vec<FileChange> {
    let mut order = Vec::new();
    let mut changes: BTreeMap<String, FileChange> = BTreeMap::new();
    for change in summaries.iter().filter_map(Value::as_array).flatten() {
        let Some(change) = read(change, workspace) else {
            continue;
        };
        if let Some(before) = changes.get_mut(&change.path) {
            add(before, change);
        } else {
            order.push(change.path.clone());
            changes.insert(change.path.clone(), change);
        }
    }
    let mut room = cut::MAX_TEXT_BYTES;
    let mut fitting = |mut change: FileChange| {
        let size = |text: &String| Value::from(text.as_str()).to_string().len();
        let patch = change.patch.map(|text| cut::text(&text, MAX_PART_FIELD_BYTES).0);
        change.patch = patch.filter(|text| size(text) <= room);
        room -= change.patch.as_ref().map_or(0, size);
        change
    };
    let inner = order.iter().filter_map(|path| changes.remove(path));
    inner.map(&mut fitting).collect()
}

fn read(entry: &Value, workspace: &str) -> Option<FileChange> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let count = |key: &str| {
        let number = entry.get(key).and_then(Value::as_u64);
        number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    };
    Some(FileChange {
        path: relative(text("file")?, workspace),
        status: match text("status") {
            Some("added") => FileStatus::Added,
            Some("deleted") => FileStatus::Deleted,
            _ => FileStatus::Modified,
        },
        additions: count("additions"),
        deletions: count("deletions"),
        patch: text("patch").filter(|text| !text.is_empty()).map(str::to_owned),
    })
}

/// A later change of the same file: the patches stand one after the other.
fn add(before: &mut FileChange, later: FileChange) {
    before.status = match (before.status, later.status) {
        (FileStatus::Added, FileStatus::Modified) => FileStatus::Added,
        (FileStatus::Deleted, FileStatus::Added) => FileStatus::Modified,
        (_, status) => status,
    };
    before.additions = before.additions.saturating_add(later.additions);
    before.deletions = before.deletions.saturating_add(later.deletions);
    before.patch = match (before.patch.take(), later.patch) {
        (Some(first), Some(second)) => Some(format!("{}\n{second}", first.trim_end_matches('\n'))),
        (first, second) => first.or(second),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_that_two_prompts_changed_is_one_entry_with_both_patches() {
        let first = json!([{"file": "/w/a", "status": "added", "additions": 2, "deletions": 0, "patch": "+1\n+2\n"}]);
        let second = json!([
            {"file": "/w/a", "status": "modified", "additions": 1, "deletions": 1, "patch": "-2\n+3\n"},
            {"file": "/w/b", "status": "deleted", "additions": 0, "deletions": 4, "patch": ""},
        ]);
        let files = files(&[first, second], "/w");
        assert_eq!(files.len(), 2);
        assert_eq!((files[0].path.as_str(), files[0].status), ("a", FileStatus::Added));
        assert_eq!((files[0].additions, files[0].deletions), (3, 1));
        assert_eq!(files[0].patch.as_deref(), Some("+1\n+2\n-2\n+3\n"));
        assert_eq!((files[1].status, files[1].patch.as_ref()), (FileStatus::Deleted, None));
    }
}
