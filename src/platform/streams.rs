//! Bytes that the platform moves by itself: between its own streams nothing passes through our memory, and nothing is left
//! there for the collector of garbage.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::Context;
use worker::js_sys::Uint8Array;
use worker::web_sys::{ReadableStream, TransformStream};

#[wasm_bindgen]
extern "C" {
    /// What is written comes out.
    #[wasm_bindgen(extends = TransformStream)]
    type IdentityTransformStream;

    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<IdentityTransformStream, JsValue>;

    /// What is written comes out as it was before it was compressed.
    #[wasm_bindgen(extends = TransformStream)]
    type DecompressionStream;

    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<DecompressionStream, JsValue>;

    #[wasm_bindgen(extends = ReadableStream)]
    type Pipe;

    #[wasm_bindgen(method, catch, js_name = pipeThrough)]
    fn pipe_through(this: &Pipe, transform: &TransformStream) -> Result<ReadableStream, JsValue>;
}

/// A stream of the platform's: its beginning can be read, and the rest passed on.
#[derive(Debug)]
pub struct Source(wasm_streams::ReadableStream);

impl Source {
    /// Of a stream that nobody reads.
    pub fn new(stream: ReadableStream) -> Self {
        Self(wasm_streams::ReadableStream::from_raw(stream.unchecked_into()))
    }

    /// What was compressed with gzip, as it was before.
    ///
    /// # Errors
    /// When the platform refuses.
    pub fn unzipped(self) -> Result<Self, JsValue> {
        let pipe: Pipe = self.0.into_raw().unchecked_into();
        let gzip = DecompressionStream::new("gzip")?;
        pipe.pipe_through(&gzip).map(Self::new)
    }

    /// The next piece; [`None`] at the end.
    ///
    /// # Errors
    /// When the stream breaks off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, JsValue> {
        let chunk = self.0.try_get_reader()?.read().await?;
        Ok(chunk.map(|chunk| Uint8Array::new(&chunk).to_vec()))
    }

    /// `head`, and then what was not read. Who reads that hears when this breaks off.
    ///
    /// # Errors
    /// When the platform refuses.
    pub fn behind(mut self, head: &[u8], context: &Context) -> Result<ReadableStream, JsValue> {
        let through = IdentityTransformStream::new()?;
        let head = Uint8Array::from(head);
        let mut end = wasm_streams::WritableStream::from_raw(through.writable().unchecked_into());
        context.wait_until(async move {
            let moved: Result<(), JsValue> = async {
                end.try_get_writer()?.write(head.into()).await?;
                self.0.pipe_to(&mut end).await
            }
            .await;
            if let Err(why) = moved {
                log::debug!("a body was not passed on to its end: {why:?}");
            }
        });
        Ok(through.readable())
    }
}
