//! How futures are woken.

use wasm_bindgen::JsValue;

/// Lets wasm-bindgen's executor use `Promise.then`. It prefers `queueMicrotask`, which in workerd is a native function
/// that wraps every call anew; nothing else in the Worker uses it. Must come before the first future.
pub fn use_promises() {
    let global = worker::js_sys::global();
    // Should it not work, futures are woken as before.
    let _ = worker::js_sys::Reflect::set(&global, &JsValue::from_str("queueMicrotask"), &JsValue::UNDEFINED);
}
