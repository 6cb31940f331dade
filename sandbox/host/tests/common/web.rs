//! Servers outside of the sandbox: what tests publish to sandboxes, and what must stay out of their reach.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A web server on the host's loopback; it ends with the test's process.
pub(crate) struct Web {
    pub(crate) port: u16,
    first_bytes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Web {
    /// Answers `/big/N` with N MiB, `/wait` after a while, files below `root`, and all else with `hello`.
    pub(crate) fn start(root: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let first_bytes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&first_bytes);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, root) = (Arc::clone(&seen), root.clone());
                std::thread::spawn(move || serve(stream, &seen, root));
            }
        });
        Self { port, first_bytes }
    }

    /// What each connection sent first, so far.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.first_bytes.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Vec<u8>>>, root: Option<PathBuf>) {
    let mut buffer = vec![0; 16_384];
    let Ok(count @ 1..) = stream.read(&mut buffer) else {
        return;
    };
    buffer.truncate(count);
    seen.lock().unwrap().push(buffer.clone());
    let text = String::from_utf8_lossy(&buffer).into_owned();
    let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
    let plain = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    let body = if let Some(size) = path.strip_prefix("/big/") {
        vec![b'x'; size.parse::<usize>().unwrap_or(0) << 20]
    } else if path == "/wait" {
        std::thread::sleep(Duration::from_millis(500));
        b"waited\n".to_vec()
    } else if let Some(root) = root {
        let Ok(bytes) = fs::read(root.join(&plain)) else {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return;
        };
        bytes
    } else {
        b"hello\n".to_vec()
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}
