//! The simulation's model of the storage against the real SQL: after the same stories, crashes included, both hold the
//! same session, the same log, the same prompts and the same commands.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use errand_protocol::ids::Seq;
use errand_session::sql::{Row, Sql, SqlError, Value};
use errand_session::{Effect, Session, store};
use errand_simulation::make::time;
use errand_simulation::story::Story;
use errand_simulation::trace::Trace;
use errand_simulation::world::World;
use rusqlite::types::Value as Lite;
use rusqlite::{Connection, params_from_iter};

struct Db(Connection);

fn refused(error: &rusqlite::Error) -> SqlError {
    SqlError::Database(error.to_string())
}

impl Sql for Db {
    fn exec(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, SqlError> {
        let lite = args.iter().map(|value| match value {
            Value::Null => Lite::Null,
            Value::Int(number) => Lite::Integer(*number),
            Value::Real(number) => Lite::Real(*number),
            Value::Text(text) => Lite::Text(text.clone()),
        });
        let mut statement = self.0.prepare_cached(sql).map_err(|e| refused(&e))?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(lite)).map_err(|e| refused(&e))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(|e| refused(&e))? {
            let value = |at| match row.get(at).unwrap() {
                Lite::Null => Value::Null,
                Lite::Integer(number) => Value::Int(number),
                Lite::Real(number) => Value::Real(number),
                Lite::Text(text) => Value::Text(text),
                Lite::Blob(_) => panic!("no blobs are stored"),
            };
            all.push((0..columns).map(value).collect());
        }
        Ok(all)
    }

    fn transaction<T, E: From<SqlError>>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.execute_batch("BEGIN").map_err(|e| refused(&e))?;
        let result = f();
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.0.execute_batch(end).map_err(|e| refused(&e))?;
        result
    }
}

#[test]
fn the_model_of_the_storage_holds_what_the_real_one_holds() {
    for seed in 0..60 {
        compare(seed);
    }
}

fn compare(seed: u64) {
    let mut world = World::new(Story::new(seed), Trace::default());
    world.agent.recorded = Some(Vec::new());
    world.live();
    let db = Db(Connection::open_in_memory().unwrap());
    store::migrate(&db).unwrap();
    let recorded = world.agent.recorded.take().unwrap();
    assert!(recorded.len() > 10, "a story of {} transactions", recorded.len());
    for (_, effects) in &recorded {
        store::apply(&db, effects).unwrap();
    }
    let now = time(world.now);
    let real = store::load(&db, now).unwrap().unwrap();
    let model = &world.agent.store;
    let core = serde_json::from_str(model.core_json().unwrap()).unwrap();
    let modelled = Session::from_stored(model.stored(core), now);
    assert_eq!(real, modelled, "seed {seed}");
    let log: Vec<_> = model.log().iter().map(|event| (**event).clone()).collect();
    assert_eq!(store::events_after(&db, Seq(0), 100_000).unwrap(), log, "seed {seed}");
    for placed in model.prompts() {
        let stored = store::prompt(&db, &placed.prompt.id).unwrap();
        assert_eq!(stored.as_ref(), Some(&placed.prompt), "seed {seed}");
        let asked = store::prompt_as_asked(&db, &placed.prompt.id).unwrap();
        assert_eq!(asked, model.prompt_as_asked(&placed.prompt.id), "seed {seed}");
    }
    for (_, effects) in &recorded {
        for effect in effects {
            if let Effect::Remember { by, id } = effect {
                assert!(
                    store::command(&db, by, id).unwrap() && model.knows(by, id),
                    "seed {seed}"
                );
            }
        }
    }
}
