//! Guests: who redeemed a share link, and what becomes of them when it is removed.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::event::EventBody;
use errand_protocol::ids::UserId;
use errand_protocol::session::Person;
use errand_session::Input;

use crate::harness::Harness;
use crate::make::ada;

fn person(name: &str) -> Person {
    Person {
        id: UserId::from_body(name).unwrap(),
        name: name.to_owned(),
        email: format!("{name}@example.org"),
    }
}

fn join(h: &mut Harness, name: &str, role: Role) {
    let by = person(name);
    h.step(Input::Joined { by, role }).unwrap();
}

fn guests(h: &Harness) -> Vec<(String, Role)> {
    let guests = &h.session.access().guests;
    guests.iter().map(|(id, role)| (id.to_string(), *role)).collect()
}

#[test]
fn a_second_link_makes_more_of_a_guest_and_never_less() {
    let mut h = Harness::new();
    join(&mut h, "bob", Role::Viewer);
    join(&mut h, "bob", Role::Member);
    let logged = h.events().len();
    join(&mut h, "bob", Role::Viewer);
    assert_eq!(h.events().len(), logged, "nothing happened");
    assert_eq!(guests(&h), [("usr_bob".to_owned(), Role::Member)]);
}

#[test]
fn a_link_that_is_removed_takes_along_who_came_by_it_alone_and_the_log_says_so() {
    let mut h = Harness::new();
    for (name, role) in [("bob", Role::Member), ("cyd", Role::Member), ("dan", Role::Viewer)] {
        join(&mut h, name, role);
    }
    let left = BTreeMap::from([(person("bob").id, None), (person("cyd").id, Some(Role::Viewer))]);
    h.step(Input::Unshared { by: ada(), left }).unwrap();
    let expected = [
        ("usr_cyd".to_owned(), Role::Viewer),
        ("usr_dan".to_owned(), Role::Viewer),
    ];
    assert_eq!(guests(&h), expected);
    let EventBody::SessionUnshared { guests: told, by } = h.last_event() else {
        panic!("{:?}", h.last_event());
    };
    assert_eq!((told.len(), by), (2, ada()));
    h.evict(false);
    assert_eq!(guests(&h), expected, "and it is remembered");
}

#[test]
fn the_registry_hears_of_guests_because_their_lists_show_the_session() {
    let mut h = Harness::new();
    h.pass(10_000);
    h.indexed.clear();
    join(&mut h, "bob", Role::Viewer);
    h.pass(2_000);
    assert_eq!(h.indexed.len(), 1);
    let left = BTreeMap::from([(person("bob").id, None)]);
    h.step(Input::Unshared { by: ada(), left }).unwrap();
    h.pass(2_000);
    assert_eq!(h.indexed.len(), 2);
}
