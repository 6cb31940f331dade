//! Guests: people of the org who redeemed one of the session's share links. The machine keeps who they are and tells of
//! it; which links there are and whether one is still good is the shell's, what a guest may do `crates/access`'.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::event::EventBody;
use errand_protocol::ids::UserId;
use errand_protocol::session::Person;

use crate::session::Step;

impl Step<'_, '_> {
    /// Somebody is a guest from now on; a link never makes less of them than an earlier one did.
    pub(crate) fn joined(&mut self, by: Person, role: Role) {
        let access = &mut self.s.core.access;
        if access.guests.get(&by.id).is_none_or(|known| *known < role) {
            access.guests.insert(by.id.clone(), role);
            access.guest_changes = access.guest_changes.wrapping_add(1);
            self.log(EventBody::SessionJoined { role, by });
        }
    }

    /// A link is gone. Those who redeemed it are from now on what their other links make of them, if anything.
    pub(crate) fn unshared(&mut self, by: Person, left: BTreeMap<UserId, Option<Role>>) {
        let access = &mut self.s.core.access;
        for (user, role) in &left {
            match role {
                Some(role) => access.guests.insert(user.clone(), *role),
                None => access.guests.remove(user),
            };
        }
        access.guest_changes = access.guest_changes.wrapping_add(1);
        let guests = left.into_keys().collect();
        self.log(EventBody::SessionUnshared { guests, by });
    }
}
