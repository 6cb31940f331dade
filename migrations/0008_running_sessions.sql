-- Which sessions have a sandbox, and for how long nothing has changed with them: they may be asked for their place.
CREATE INDEX sessions_running ON sessions (updated_at, id) WHERE phase = 'running';
