"""The tables of a manifest, and how a file of an older schema becomes one of the newest.

Tables, in schema 2:

- `images`: one row an image, by the SHA-256 of its bytes; the columns of `ImageRecord`.
- `searches`: one row for each provider × query that was asked, and how far it came.
- `sightings`: each time a search named a URL, with what the provider said about it. Never overwritten.
- `fetches`: one row a URL: waiting, stored, refused (for a reason that will stay) or failed (for one that may pass).
- `decisions`: keep, drop, relabel and so on, appended, never overwritten; those that no later row undoes
  stand, each reviewer's last of its kind as a vote (`votes.py`).
- `checks`: what each check of curation measured on each image, and whether that is past its threshold.
- `links`: pairs of images that were confirmed to be near-duplicates of each other.
- `opinions`: what a model says of an image, from outside of the rows that it learnt from.
- `tombstones`: URLs and hashes that were forgotten and must not come back.
- `hosts`: what each host's robots.txt and TDM reservation said, and when.
"""

from __future__ import annotations

_SCHEMA_1 = """
CREATE TABLE images (
  sha256 TEXT PRIMARY KEY, file TEXT NOT NULL, bytes INTEGER NOT NULL, width INTEGER, height INTEGER, format TEXT NOT NULL DEFAULT '',
  url TEXT NOT NULL DEFAULT '', page TEXT NOT NULL DEFAULT '', provider TEXT NOT NULL DEFAULT '', query TEXT NOT NULL DEFAULT '',
  title TEXT NOT NULL DEFAULT '', creator TEXT NOT NULL DEFAULT '', creator_url TEXT NOT NULL DEFAULT '',
  licence TEXT NOT NULL DEFAULT 'unknown', licence_text TEXT NOT NULL DEFAULT '', licence_url TEXT NOT NULL DEFAULT '',
  attribution TEXT NOT NULL DEFAULT '', fetched_at TEXT NOT NULL DEFAULT '',
  label TEXT NOT NULL DEFAULT '', subtype TEXT NOT NULL DEFAULT '', label_basis TEXT NOT NULL DEFAULT '', region TEXT NOT NULL DEFAULT '',
  view TEXT NOT NULL DEFAULT '', hardware INTEGER, boxes TEXT, severity REAL, synthetic INTEGER NOT NULL DEFAULT 0,
  patient TEXT NOT NULL DEFAULT '', "group" TEXT NOT NULL DEFAULT '', split TEXT NOT NULL DEFAULT '', hashes TEXT
);
CREATE TABLE searches (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, provider TEXT NOT NULL, query TEXT NOT NULL, label TEXT NOT NULL, subtype TEXT NOT NULL,
  region TEXT NOT NULL, label_basis TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed')),
  found INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', started_at TEXT NOT NULL, finished_at TEXT NOT NULL DEFAULT ''
);
CREATE TABLE sightings (
  id INTEGER PRIMARY KEY, search_id INTEGER NOT NULL REFERENCES searches(id), url TEXT NOT NULL, page TEXT NOT NULL, title TEXT NOT NULL,
  creator TEXT NOT NULL, creator_url TEXT NOT NULL, licence TEXT NOT NULL, licence_text TEXT NOT NULL, licence_url TEXT NOT NULL,
  attribution TEXT NOT NULL, label TEXT NOT NULL, subtype TEXT NOT NULL, region TEXT NOT NULL, sha256 TEXT NOT NULL, details TEXT,
  seen_at TEXT NOT NULL, UNIQUE (search_id, url)
);
CREATE INDEX sightings_url ON sightings(url);
CREATE TABLE fetches (
  url TEXT PRIMARY KEY, host TEXT NOT NULL, sighting_id INTEGER NOT NULL REFERENCES sightings(id),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'stored', 'refused', 'failed')), reason TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', status INTEGER, final_url TEXT NOT NULL DEFAULT '', content_type TEXT NOT NULL DEFAULT '',
  bytes INTEGER, sha256 TEXT NOT NULL DEFAULT '', kept TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
  finished_at TEXT NOT NULL DEFAULT ''
);
CREATE INDEX fetches_waiting ON fetches(host) WHERE state = 'waiting';
CREATE INDEX fetches_sha256 ON fetches(sha256) WHERE sha256 != '';
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, decided_by TEXT NOT NULL,
  decided_at TEXT NOT NULL
);
CREATE INDEX decisions_sha256 ON decisions(sha256);
CREATE TABLE tombstones (value TEXT PRIMARY KEY, reason TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE hosts (origin TEXT PRIMARY KEY, robots_status INTEGER, robots TEXT NOT NULL, tdm TEXT NOT NULL, asked_at TEXT NOT NULL);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_SCHEMA_2 = """
ALTER TABLE images ADD COLUMN copy_group TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN marks TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN subtype TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN undoes INTEGER REFERENCES decisions(id);
CREATE UNIQUE INDEX decisions_undoes ON decisions(undoes) WHERE undoes IS NOT NULL;
CREATE TABLE checks (
  sha256 TEXT NOT NULL, reason TEXT NOT NULL, value REAL, threshold REAL, flagged INTEGER NOT NULL, detail TEXT NOT NULL DEFAULT '',
  checked_at TEXT NOT NULL, PRIMARY KEY (sha256, reason)
) WITHOUT ROWID;
CREATE INDEX checks_flagged ON checks(reason) WHERE flagged = 1;
CREATE TABLE links (
  first TEXT NOT NULL, second TEXT NOT NULL, change TEXT NOT NULL, score REAL NOT NULL, found_at TEXT NOT NULL,
  PRIMARY KEY (first, second), CHECK (first < second)
) WITHOUT ROWID;
CREATE INDEX links_second ON links(second);
CREATE TABLE opinions (
  sha256 TEXT NOT NULL, model TEXT NOT NULL, label TEXT NOT NULL, probabilities TEXT NOT NULL, suspicion REAL, given_at TEXT NOT NULL,
  PRIMARY KEY (sha256, model)
) WITHOUT ROWID;
"""

# Schema n is reached by running the n-th script on schema n - 1. Scripts that have shipped are never changed; new ones are added.
MIGRATIONS: tuple[str, ...] = (_SCHEMA_1, _SCHEMA_2)
SCHEMA_VERSION = len(MIGRATIONS)
