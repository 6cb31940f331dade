//! Makes a sandbox's own network, and enters it: a loopback, nothing else. Every address is a local one there, and one
//! rule leads each TCP connection that leaves the loopback's addresses to one listening socket.
//!
//! The network belongs to a user namespace which nothing inside is in: programs of the sandbox are in one below, where
//! they cannot change routes or rules, whoever they are there.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The user that our programs are between the two user namespaces, and inside.
pub const USER: u32 = 1000;

/// Puts this process, which must have one thread only, into a network of its own. Answers its sockets, for the proxy:
/// the one for DNS, the one for connections, and one for each of `listen`, an address on the loopback.
pub fn enter(listen: &[SocketAddr]) -> std::io::Result<Vec<OwnedFd>> {
    imp::enter(listen)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io::{self, Error};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
    use std::os::fd::OwnedFd;

    use nix::sched::{CloneFlags, unshare};
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

    use super::USER;
    use crate::egress::namespace::messages::{self, Message};

    pub(super) fn enter(listen: &[SocketAddr]) -> io::Result<Vec<OwnedFd>> {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
            .map_err(|error| said("no namespace", &error.into()))?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{USER} {} 1", user.as_raw())),
            ("gid_map", format!("{USER} {} 1", group.as_raw())),
        ] {
            std::fs::write(format!("/proc/self/{file}"), text).map_err(|error| said(file, &error))?;
        }
        ask(None, &messages::loopback()).map_err(|error| said("no loopback", &error))?;
        let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = here.local_addr()?.port();
        ask(Some(netlink::NETFILTER), &messages::redirect(port)).map_err(|error| said("no nftables", &error))?;
        let names = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).map_err(|error| said("no DNS", &error))?;
        let mut sockets = vec![OwnedFd::from(names), OwnedFd::from(here)];
        for address in listen {
            let socket = TcpListener::bind(address).map_err(|error| said(&format!("no {address}"), &error))?;
            sockets.push(socket.into());
        }
        Ok(sockets)
    }

    fn said(what: &str, error: &Error) -> Error {
        Error::new(error.kind(), format!("the sandbox's network: {what}: {error}"))
    }

    /// Sends the messages as one and waits until each that wants an answer has a good one.
    /// No protocol: routes and links.
    fn ask(protocol: Option<rustix::net::Protocol>, messages: &[Message]) -> io::Result<()> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        send(&socket, &messages.concat(), SendFlags::empty())?;
        let mut wanted = messages
            .iter()
            .filter(|message| messages::wants_answer(message))
            .count();
        let mut buffer = [0; 8192];
        while wanted > 0 {
            let (count, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
            for code in messages::answers(buffer.get(..count).unwrap_or_default()) {
                if code != 0 {
                    return Err(Error::from_raw_os_error(-code));
                }
                wanted = wanted.saturating_sub(1);
            }
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn enter(_listen: &[std::net::SocketAddr]) -> std::io::Result<Vec<std::os::fd::OwnedFd>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// The few netlink messages that this takes (linux/rtnetlink.h, linux/netfilter/nf_tables.h).
#[cfg(target_os = "linux")]
mod messages {
    const REQUEST: u16 = 0x1;
    const ACK: u16 = 0x4;
    const CREATE: u16 = 0x400;
    const NESTED: u16 = 0x8000;
    const AF_INET: u8 = 2;
    const LOOPBACK: u32 = 1;
    const UP: u32 = 1;
    /// nftables' number among netfilter's subsystems.
    const NFTABLES: u16 = 10;
    const NAME: &[u8] = b"errand\0";

    pub(super) type Message = Vec<u8>;

    /// The loopback up, and every IPv4 address on it.
    pub(super) fn loopback() -> Vec<Message> {
        let link = [
            &[0; 4][..],
            &LOOPBACK.to_ne_bytes(),
            &UP.to_ne_bytes(),
            &UP.to_ne_bytes(),
        ]
        .concat();
        // Any destination; table "local", static, scope host, type "local".
        let route = [
            &[AF_INET, 0, 0, 0, 255, 4, 254, 2][..],
            &[0; 4],
            &attribute(4, &LOOPBACK.to_ne_bytes()),
        ]
        .concat();
        vec![
            message(16, REQUEST | ACK, &link),
            message(24, REQUEST | ACK | CREATE, &route),
        ]
    }

    /// `ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :port`, for what programs here send.
    pub(super) fn redirect(port: u16) -> Vec<Message> {
        let (output, dstnat) = (3u32.to_be_bytes(), (-100i32).to_be_bytes());
        let hook = [attribute(1, &output), attribute(2, &dstnat)].concat();
        let chain = [
            attribute(1, NAME),
            attribute(3, NAME),
            attribute(4 | NESTED, &hook),
            attribute(7, b"nat\0"),
        ];
        let expressions = [
            // The first byte of the destination is not 127,
            expression(
                b"payload\0",
                &[(1, number(1)), (2, number(1)), (3, number(16)), (4, number(1))],
            ),
            expression(
                b"cmp\0",
                &[(1, number(1)), (2, number(1)), (3 | NESTED, attribute(1, &[127]))],
            ),
            // the protocol is TCP:
            expression(b"meta\0", &[(1, number(1)), (2, number(16))]),
            expression(
                b"cmp\0",
                &[(1, number(1)), (2, number(0)), (3 | NESTED, attribute(1, &[6]))],
            ),
            // to this port.
            expression(
                b"immediate\0",
                &[(1, number(1)), (2 | NESTED, attribute(1, &port.to_be_bytes()))],
            ),
            expression(b"redir\0", &[(1, number(1)), (3, number(2))]),
        ];
        let rule = [
            attribute(1, NAME),
            attribute(2, NAME),
            attribute(4 | NESTED, &expressions.concat()),
        ];
        vec![
            message(16, REQUEST, &[0, 0, 0, 10]),
            nftables(0, &attribute(1, NAME)),
            nftables(3, &chain.concat()),
            nftables(6, &rule.concat()),
            message(17, REQUEST, &[0, 0, 0, 10]),
        ]
    }

    fn nftables(kind: u16, attributes: &[u8]) -> Message {
        let body = [&[AF_INET, 0, 0, 0][..], attributes].concat();
        message(NFTABLES << 8 | kind, REQUEST | ACK | CREATE, &body)
    }

    fn expression(name: &[u8], data: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let data: Vec<u8> = data.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
        attribute(1 | NESTED, &[attribute(1, name), attribute(2 | NESTED, &data)].concat())
    }

    fn number(value: u32) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        let mut all = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        all.resize(all.len().next_multiple_of(4), 0);
        all
    }

    fn message(kind: u16, flags: u16, body: &[u8]) -> Message {
        let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
        [
            &length.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &[0; 8],
            body,
        ]
        .concat()
    }

    pub(super) fn wants_answer(message: &Message) -> bool {
        let flags = message
            .get(6..8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u16::from_ne_bytes);
        flags & ACK != 0
    }

    /// The codes of the answers in a datagram: 0, or an error's number below it.
    pub(super) fn answers(mut datagram: &[u8]) -> Vec<i32> {
        let mut codes = Vec::new();
        while let Some((length, code)) = answer(datagram) {
            codes.push(code);
            datagram = datagram.get(length.next_multiple_of(4).max(16)..).unwrap_or_default();
        }
        codes
    }

    fn answer(bytes: &[u8]) -> Option<(usize, i32)> {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
        let code = i32::from_ne_bytes(bytes.get(16..20)?.try_into().ok()?);
        Some((usize::try_from(length).ok()?, code))
    }
}
