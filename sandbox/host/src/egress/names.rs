//! Names inside a sandbox: each gets an address of its own, out of a range that means nothing elsewhere, and keeps it.
//! Nobody outside is asked; a name is resolved only when somebody connects to it and may.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use errand_protocol::egress::host_name;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

/// 198.18.0.0/15: for benchmarks, routed nowhere.
const FIRST: u32 = 0xc612_0000;
/// So many names are known at once; then the oldest is forgotten.
pub const MOST_NAMES: u32 = 8192;
const TTL: u32 = 10;

/// The names that were asked for, and their addresses.
#[derive(Debug)]
pub struct Names {
    by_name: HashMap<String, u32>,
    by_slot: HashMap<u32, String>,
    next: u32,
}

impl Names {
    /// None yet. `start` moves the first address: another proxy of the same sandbox should not give the addresses of
    /// the one before to other names at once.
    pub fn new(start: u32) -> Self {
        Self {
            by_name: HashMap::new(),
            by_slot: HashMap::new(),
            next: start % MOST_NAMES,
        }
    }

    /// The name behind an address; `None` when it was never given away, or long ago.
    pub fn name(&self, address: Ipv4Addr) -> Option<&str> {
        let slot = address.to_bits().checked_sub(FIRST)?;
        self.by_slot.get(&slot).map(String::as_str)
    }

    /// Whether addresses of names look like this.
    pub fn ours(address: Ipv4Addr) -> bool {
        address.to_bits() >> 17 == FIRST >> 17
    }

    fn address(&mut self, name: &str) -> Ipv4Addr {
        let slot = self.by_name.get(name).copied().unwrap_or_else(|| {
            let slot = self.next;
            self.next = (self.next + 1) % MOST_NAMES;
            if let Some(old) = self.by_slot.insert(slot, name.to_owned()) {
                self.by_name.remove(&old);
            }
            self.by_name.insert(name.to_owned(), slot);
            slot
        });
        Ipv4Addr::from_bits(FIRST + slot)
    }

    /// Answers a DNS query; `None` for what is none.
    pub fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Packet::parse(query)
            .ok()
            .filter(|query| !query.has_flags(PacketFlag::RESPONSE))?;
        let [question] = query.questions.as_slice() else {
            return None;
        };
        let mut reply = query.clone().into_reply();
        reply.additional_records.clear();
        reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
        let internet = matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
        // Somebody who wants any record wants the address.
        let asks = |kind| question.qtype == QTYPE::TYPE(kind) || (kind == TYPE::A && question.qtype == QTYPE::ANY);
        match host_name(&question.qname.to_string()).filter(|_| internet) {
            None => *reply.rcode_mut() = RCODE::NameError,
            Some(name) => {
                // There is no IPv6, and no other record that would be of use.
                let data = match (asks(TYPE::A), asks(TYPE::AAAA), local(&name)) {
                    (true, _, true) => Some(RData::A(Ipv4Addr::LOCALHOST.into())),
                    (true, _, false) => Some(RData::A(self.address(&name).into())),
                    (_, true, true) => Some(RData::AAAA(Ipv6Addr::LOCALHOST.into())),
                    _ => None,
                };
                reply
                    .answers
                    .extend(data.map(|data| ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data)));
            }
        }
        reply.build_bytes_vec().ok()
    }
}

fn local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{Name, Question};

    fn ask(names: &mut Names, name: &str, kind: TYPE) -> (RCODE, Vec<RData<'static>>) {
        let mut query = Packet::new_query(7);
        let name = Name::new(name).unwrap();
        query
            .questions
            .push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
        let answer = names.answer(&query.build_bytes_vec().unwrap()).unwrap();
        let answer = Packet::parse(&answer).unwrap();
        assert!(answer.id() == 7 && answer.has_flags(PacketFlag::RESPONSE));
        let data = answer.answers.iter().map(|record| record.rdata.clone().into_owned());
        (answer.rcode(), data.collect())
    }

    fn address(names: &mut Names, name: &str) -> Ipv4Addr {
        match ask(names, name, TYPE::A) {
            (RCODE::NoError, data) => match data.as_slice() {
                [RData::A(a)] => Ipv4Addr::from_bits(a.address),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_has_one_address_and_the_address_leads_back() {
        let mut names = Names::new(5);
        let first = address(&mut names, "A.example");
        assert!(Names::ours(first));
        assert_eq!(names.name(first), Some("a.example"));
        assert_eq!(address(&mut names, "a.example"), first);
        assert_ne!(address(&mut names, "b.example"), first);
        assert_eq!(names.name(Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn what_carries_more_than_an_address_has_no_answer() {
        let mut names = Names::new(0);
        for kind in [TYPE::TXT, TYPE::AAAA, TYPE::MX, TYPE::NULL, TYPE::HTTPS, TYPE::CNAME] {
            assert_eq!(
                ask(&mut names, "secret.evil.example", kind),
                (RCODE::NoError, Vec::new()),
                "{kind:?}"
            );
        }
        assert_eq!(ask(&mut names, "localhost", TYPE::AAAA).1.len(), 1);
        assert_eq!(address(&mut names, "x.localhost"), Ipv4Addr::LOCALHOST);
        assert_eq!(ask(&mut names, "1.2.3.4", TYPE::A).0, RCODE::NameError);
    }

    #[test]
    fn endless_names_take_no_endless_memory_and_nonsense_no_answer() {
        let mut names = Names::new(MOST_NAMES - 3);
        let first = address(&mut names, "first.example");
        for i in 0..MOST_NAMES {
            address(&mut names, &format!("n{i}.example"));
        }
        assert_eq!(names.by_name.len(), MOST_NAMES as usize);
        assert_eq!(names.by_slot.len(), MOST_NAMES as usize);
        assert_eq!(names.name(first), Some(format!("n{}.example", MOST_NAMES - 1).as_str()));
        for nonsense in [&b""[..], b"x", &[0; 12], &[255; 600]] {
            assert_eq!(names.answer(nonsense), None);
        }
    }
}
