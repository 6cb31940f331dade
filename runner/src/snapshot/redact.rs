//! Blotting secrets out of a stream of bytes. Pure.
//!
//! The agent may print the environment of its engine; what is said there must not leave the sandbox in a snapshot.

/// The filter.
#[derive(Debug)]
pub struct Redactor {
    secrets: Vec<Vec<u8>>,
    /// Bytes that may be the begin of a secret.
    kept: Vec<u8>,
    longest: usize,
}

impl Redactor {
    /// For these secrets.
    pub fn new(secrets: &[String]) -> Self {
        let secrets: Vec<Vec<u8>> = secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .map(|secret| secret.clone().into_bytes())
            .collect();
        Self {
            longest: secrets.iter().map(Vec::len).max().unwrap_or(1),
            secrets,
            kept: Vec::new(),
        }
    }

    /// Takes bytes in; gives what is safe to pass on.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.kept.extend_from_slice(bytes);
        for secret in &self.secrets {
            blot(&mut self.kept, secret);
        }
        let safe = self.kept.len().saturating_sub(self.longest - 1);
        self.kept.drain(..safe).collect()
    }

    /// The last bytes.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }
}

fn blot(text: &mut [u8], secret: &[u8]) {
    let mut at = 0;
    while let Some(found) = text
        .get(at..)
        .and_then(|rest| rest.windows(secret.len()).position(|window| window == secret))
    {
        at += found;
        if let Some(place) = text.get_mut(at..at + secret.len()) {
            place.fill(b'*');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_the_stream_is_cut() {
        let text = b"a secret and another secret, and a long-one.";
        for size in 1..text.len() {
            let mut redactor = Redactor::new(&["secret".to_owned(), "long-one".to_owned(), String::new()]);
            let mut out: Vec<u8> = text.chunks(size).flat_map(|piece| redactor.feed(piece)).collect();
            out.extend(redactor.rest());
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "a ****** and another ******, and a ********.",
                "in pieces of {size}"
            );
        }
    }
}
