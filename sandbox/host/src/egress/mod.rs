//! Egress: what a sandbox may reach over the network.
//!
//! A sandbox with an own network ([`namespace`]) has no interface but the loopback. There, every name is given an
//! address of its own ([`names`]), and every TCP connection to an address that is not the loopback's is led to one
//! listening socket. The socket was made inside and is held outside: by the keeper ([`guard`]), and by the proxy
//! ([`proxy`]), a process of its own which nothing inside can see, signal or trace. It decides ([`settings`]), resolves
//! the name once, and connects to just that address ([`dial`]). Nothing else leaves: no UDP, no IPv6, no DNS; and no
//! sockets of kinds that a network namespace does not hold back, as those between a virtual machine and its host
//! ([`sockets`]).
//!
//! What is refused is told in a file that the sandbox can read and not write ([`refusals`]). The runner passes it on.
//! Code that is root in its sandbox could mount another file over it, and so make up refusals or hide its own: it
//! would lie to people about what it tried. No decision rests on the file, and whoever allows a host that was made up
//! allows only what a real attempt would have asked for as well.

pub mod address;
pub mod dial;
pub mod guard;
pub mod names;
pub mod namespace;
pub mod pass;
pub mod proxy;
pub mod refusals;
pub mod settings;
pub mod sockets;
pub mod tls;
