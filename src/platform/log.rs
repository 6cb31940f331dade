//! Logging: one JSON line per record on the console, with the record's key–value pairs (`request = …`) as fields.
//! Callers log ids and codes, never tokens, keys, prompts or bodies.

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Console;

static CONSOLE: Console = Console;

/// Sends records and panics to the console. Called once, when the Worker starts.
pub fn start() {
    // It fails only when a logger is there already, and then it is this one.
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
        std::panic::set_hook(Box::new(|info| log::error!("panic: {info}")));
    }
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let line = line(record);
        match record.level() {
            Level::Error => worker::console_error!("{line}"),
            Level::Warn => worker::console_warn!("{line}"),
            Level::Info | Level::Debug | Level::Trace => worker::console_log!("{line}"),
        }
    }

    fn flush(&self) {}
}

fn line(record: &Record<'_>) -> String {
    let mut fields = Fields(serde_json::Map::new());
    fields.put("level", record.level().as_str().to_ascii_lowercase());
    fields.put("message", record.args().to_string());
    fields.put("target", record.target().to_owned());
    // Collecting into a map cannot fail.
    let _ = record.key_values().visit(&mut fields);
    serde_json::Value::Object(fields.0).to_string()
}

struct Fields(serde_json::Map<String, serde_json::Value>);

impl Fields {
    fn put(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        self.0.insert(key.to_owned(), value.into());
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        match value.to_i64() {
            Some(number) => self.put(key.as_str(), number),
            None => self.put(key.as_str(), value.to_string()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_json_line_with_its_fields() {
        let pairs = [("request", Value::from("req_1")), ("status", Value::from(500))];
        let record = Record::builder()
            .level(Level::Error)
            .target("errand::http")
            .args(format_args!("it \"broke\"\nbadly"))
            .key_values(&pairs)
            .build();
        let text = line(&record);
        assert!(!text.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["message"], "it \"broke\"\nbadly");
        assert_eq!(json["request"], "req_1");
        assert_eq!(json["status"], 500);
        assert_eq!(json["level"], "error");
    }
}
