//! Keeps what goes into one part within the limits of the wire: head and tail stay, the middle goes.
//!
//! Sizes are those of the JSON text, because that is what a frame and a database row hold.

use errand_protocol::limits::MAX_PART_FIELD_BYTES;
use serde_json::Value;

/// Longest prose or reasoning, as JSON: with the envelope it must fit a frame.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// A string inside a tool's input that is longer than this is shortened when the whole input is too long.
const LONG_ARGUMENT: usize = 16 * 1024;

/// How many bytes a character takes in JSON.
fn json_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if u32::from(c) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

fn json_size(text: &str) -> usize {
    text.chars().map(json_len).sum()
}

/// The text, or its head and tail when it is longer than `max` as JSON; and whether it was cut.
pub fn text(value: &str, max: usize) -> (String, bool) {
    if value.len() * 6 <= max || json_size(value) <= max {
        return (value.to_owned(), false);
    }
    let half = max / 2 - 64;
    let head = prefix(value.char_indices(), half).map_or(value.len(), |at| at);
    let reversed = value.char_indices().rev();
    let mut room = half;
    let mut tail = value.len();
    for (at, c) in reversed {
        let Some(left) = room.checked_sub(json_len(c)) else {
            break;
        };
        room = left;
        tail = at;
    }
    let tail = tail.max(head);
    let (first, last) = (
        value.get(..head).unwrap_or_default(),
        value.get(tail..).unwrap_or_default(),
    );
    (format!("{first}\n\n… {} bytes left out …\n\n{last}", tail - head), true)
}

fn prefix(chars: std::str::CharIndices<'_>, mut room: usize) -> Option<usize> {
    for (at, c) in chars {
        match room.checked_sub(json_len(c)) {
            Some(left) => room = left,
            None => return Some(at),
        }
    }
    None
}

/// One field of a part.
pub fn field(value: &str, cut: &mut bool) -> String {
    let (text, was_cut) = text(value, MAX_PART_FIELD_BYTES);
    *cut |= was_cut;
    text
}

/// A tool's arguments: long strings in them are shortened when the whole is too long.
pub fn input(value: &Value, cut: &mut bool) -> Value {
    let size = |value: &Value| value.to_string().len();
    if size(value) <= MAX_PART_FIELD_BYTES {
        return value.clone();
    }
    *cut = true;
    let shortened = shorten(value);
    if size(&shortened) <= MAX_PART_FIELD_BYTES {
        return shortened;
    }
    let (head, _) = text(&value.to_string(), MAX_PART_FIELD_BYTES / 2);
    serde_json::json!({ "truncated": head })
}

fn shorten(value: &Value) -> Value {
    if let Some(long) = value.as_str() {
        Value::String(text(long, LONG_ARGUMENT).0)
    } else if let Some(list) = value.as_array() {
        Value::Array(list.iter().map(shorten).collect())
    } else if let Some(map) = value.as_object() {
        Value::Object(map.iter().map(|(key, inner)| (key.clone(), shorten(inner))).collect())
    } else {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_left_alone_and_a_long_one_keeps_head_and_tail() {
        assert_eq!(text("short", 100), ("short".to_owned(), false));
        let long = format!("BEGIN{}END", "é\n".repeat(200_000));
        let (kept, cut) = text(&long, MAX_PART_FIELD_BYTES);
        assert!(cut && kept.starts_with("BEGIN") && kept.ends_with("END") && kept.contains("left out"));
        assert!(serde_json::to_string(&kept).unwrap().len() <= MAX_PART_FIELD_BYTES + 2);
    }

    #[test]
    fn control_characters_count_as_what_json_makes_of_them() {
        let (kept, cut) = text(&"\u{1}".repeat(MAX_PART_FIELD_BYTES / 2), MAX_PART_FIELD_BYTES);
        assert!(cut);
        assert!(serde_json::to_string(&kept).unwrap().len() <= MAX_PART_FIELD_BYTES + 2);
    }

    #[test]
    fn a_huge_argument_is_shortened_inside_its_object() {
        let mut cut = false;
        let value = serde_json::json!({"filePath": "/a", "content": "x".repeat(1_000_000)});
        let kept = input(&value, &mut cut);
        assert!(cut);
        assert_eq!(kept["filePath"], "/a");
        assert!(kept["content"].as_str().unwrap().len() < 20_000);
        let many = Value::Array(vec![Value::from(1); 400_000]);
        assert!(input(&many, &mut cut).to_string().len() <= MAX_PART_FIELD_BYTES);
    }
}
