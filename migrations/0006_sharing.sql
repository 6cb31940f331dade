-- Which API key made this one: it ends with it. NULL: a person did.
ALTER TABLE api_keys ADD COLUMN made_by TEXT;
CREATE INDEX api_keys_by_maker ON api_keys (made_by);
