//! As much of TLS as is needed to see whom a client means, and to refuse it in a way that it understands.

/// A fatal alert, `access_denied`: what a server says that will not talk to this client.
pub const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];
/// A fatal alert, `internal_error`: the server could not be reached.
pub const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];
/// No client's first message is longer; the rest of what it sends is not looked at.
pub const LONGEST: usize = 16 * 1024;

/// What the first bytes of a client say.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// It does not speak TLS, or in a way that cannot be read.
    Other,
    /// Not all of it is here yet.
    More,
    /// It means this server, or does not say which.
    Server(Option<String>),
}

/// Whether these bytes begin a TLS connection.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&[22, 3])
}

/// Reads the server's name out of a ClientHello, which may come in several records.
pub fn hello(bytes: &[u8]) -> Hello {
    let starts = [22, 3];
    if !bytes.iter().zip(starts).all(|(byte, wanted)| *byte == wanted) {
        return Hello::Other;
    }
    let (mut message, mut rest) = (Vec::new(), bytes);
    loop {
        // The handshake's header says how long the message is.
        if let Some((&[kind, a, b, c], body)) = message.split_first_chunk::<4>() {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if kind != 1 || length > LONGEST {
                return Hello::Other;
            }
            if let Some(body) = body.get(..length) {
                return server_name(body).unwrap_or(Hello::Other);
            }
        }
        let Some((&[kind, major, _, a, b], after)) = rest.split_first_chunk::<5>() else {
            return Hello::More;
        };
        if (kind, major) != (22, 3) {
            return Hello::Other;
        }
        let length = usize::from(u16::from_be_bytes([a, b]));
        message.extend(after.iter().take(length));
        let Some(next) = after.get(length..) else {
            return if message.len() > LONGEST {
                Hello::Other
            } else {
                Hello::More
            };
        };
        rest = next;
    }
}

/// The name in a ClientHello's body; `None` when the body makes no sense.
fn server_name(body: &[u8]) -> Option<Hello> {
    let rest = body.get(2 + 32..)?;
    let (_session, rest) = vector(rest, 1)?;
    let (_ciphers, rest) = vector(rest, 2)?;
    let (_compressions, rest) = vector(rest, 1)?;
    if rest.is_empty() {
        return Some(Hello::Server(None));
    }
    let (mut extensions, _) = vector(rest, 2)?;
    while !extensions.is_empty() {
        let (kind, rest) = extensions.split_first_chunk::<2>()?;
        let (data, rest) = vector(rest, 2)?;
        if *kind == [0, 0] {
            let (names, _) = vector(data, 2)?;
            let (name, _) = vector(names.strip_prefix(&[0])?, 2)?;
            let name = String::from_utf8(name.to_vec()).ok()?;
            return Some(Hello::Server(Some(name.to_ascii_lowercase())));
        }
        extensions = rest;
    }
    Some(Hello::Server(None))
}

/// Bytes with their length in front, and what comes after them.
fn vector(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length.iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(width: usize, bytes: &[u8]) -> Vec<u8> {
        let length = (bytes.len() as u64).to_be_bytes();
        [&length[8 - width..], bytes].concat()
    }

    fn client_hello(name: Option<&str>) -> Vec<u8> {
        let other = [vec![0, 43], sized(2, &[2, 3, 4])].concat();
        let sni = name.map(|name| {
            let list = sized(2, &[vec![0], sized(2, name.as_bytes())].concat());
            [vec![0, 0], sized(2, &list)].concat()
        });
        let extensions = sized(2, &[other, sni.unwrap_or_default()].concat());
        let body = [
            vec![3, 3],
            vec![7; 32],
            sized(1, &[1; 32]),
            sized(2, &[19, 1]),
            sized(1, &[0]),
            extensions,
        ]
        .concat();
        [vec![1], sized(3, &body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message
            .chunks(size)
            .flat_map(|chunk| [vec![22, 3, 1], sized(2, chunk)].concat())
            .collect()
    }

    #[test]
    fn the_server_that_a_client_means_is_read_from_one_record_or_several() {
        for size in [1, 7, 16_000] {
            let bytes = records(&client_hello(Some("A.example")), size);
            assert_eq!(hello(&bytes), Hello::Server(Some("a.example".to_owned())), "{size}");
            for cut in 0..bytes.len() {
                assert_eq!(hello(&bytes[..cut]), Hello::More, "{cut} of records of {size}");
            }
        }
        assert_eq!(hello(&records(&client_hello(None), 100)), Hello::Server(None));
    }

    #[test]
    fn what_is_not_tls_is_something_else() {
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"SSH-2.0-x",
            &[22, 4],
            &[22, 3, 1, 0, 4, 9, 0, 0, 0],
            &[23, 3],
        ] {
            assert_eq!(hello(other), Hello::Other);
        }
        let endless = records(&[vec![1, 255, 255, 255], vec![0; 100]].concat(), 50);
        assert_eq!(hello(&endless), Hello::Other);
        let nonsense = records(&[vec![1], sized(3, &[9; 60])].concat(), 100);
        assert_eq!(hello(&nonsense), Hello::Other);
    }
}
