//! A flag that wakes one waiter. Raising it twice before it is seen is raising it once: nothing piles up.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

#[derive(Default)]
struct Shared {
    raised: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The side that raises.
pub struct Signal(Weak<Shared>);

/// The side that waits.
pub struct Waiter(Rc<Shared>);

impl Signal {
    /// Both sides.
    pub fn new() -> (Self, Waiter) {
        let shared = Rc::<Shared>::default();
        (Self(Rc::downgrade(&shared)), Waiter(shared))
    }

    /// Whether somebody would be woken.
    pub fn has_waiter(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Wakes the waiter. `false` when there is none any more.
    pub fn raise(&self) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        shared.raised.set(true);
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
        true
    }
}

impl Waiter {
    /// Until the signal is raised; at once when it was since the last time.
    pub async fn raised(&mut self) {
        poll_fn(|cx| {
            if self.0.raised.take() {
                return Poll::Ready(());
            }
            self.0.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
