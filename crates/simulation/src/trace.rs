//! What happened, in words: nothing while thousands of stories are told, everything when one is told again.

use std::cell::RefCell;
use std::rc::Rc;

use crate::make::START;

/// A trace.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    lines: Option<Rc<RefCell<Vec<String>>>>,
}

impl Trace {
    /// One that keeps what it is told.
    pub fn kept() -> Self {
        Self {
            lines: Some(Rc::default()),
        }
    }

    /// Whether anybody listens.
    pub const fn on(&self) -> bool {
        self.lines.is_some()
    }

    /// One more line.
    pub fn say(&self, now: i64, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let at = now - START;
            lines
                .borrow_mut()
                .push(format!("{:>6}.{:03} {}", at / 1000, at % 1000, line()));
        }
    }

    /// All of it.
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .as_ref()
            .map(|lines| lines.borrow().clone())
            .unwrap_or_default()
    }
}
