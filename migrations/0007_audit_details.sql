-- What was made, and what was changed to what: a JSON object of texts. Never a secret's value.
ALTER TABLE audit ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
