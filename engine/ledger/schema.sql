-- The ledger's tables. Every "-- version N" part runs once, in one transaction, on databases whose user_version is below N;
-- parts are only ever added. Money is in nano-USD (1 USD = 1 000 000 000), time in microseconds since 1970-01-01 UTC.
-- NULL means unknown or not applicable, never zero.

-- version 1
CREATE TABLE requests (
  seq                     INTEGER PRIMARY KEY,  -- order of writing
  id                      TEXT    NOT NULL,     -- "req_..."
  at_us                   INTEGER NOT NULL,     -- arrival
  client                  TEXT,
  dialect                 TEXT,                 -- as the client speaks it
  path                    TEXT,
  session                 TEXT,
  user                    TEXT,
  project                 TEXT,
  agent                   TEXT,
  request_class           TEXT,
  requested_model         TEXT,
  decision_id             TEXT,
  rule                    TEXT,                 -- the rule that chose the target
  reason                  TEXT,
  provider                TEXT,                 -- the target that answered, or failed last
  model                   TEXT,
  attempts                INTEGER NOT NULL,
  status                  INTEGER NOT NULL,     -- as the client saw it; 499: the client left first
  stop_reason             TEXT,
  stream                  INTEGER NOT NULL,
  input_tokens            INTEGER,              -- uncached
  output_tokens           INTEGER,              -- includes reasoning
  cache_read_tokens       INTEGER,
  cache_write_5m_tokens   INTEGER,              -- stored for the provider's usual lifetime
  cache_write_1h_tokens   INTEGER,
  reasoning_tokens        INTEGER,
  usage_estimated         INTEGER NOT NULL,     -- the answer was cut before the provider said: counted by us
  cost_nanousd            INTEGER,              -- NULL: the price is unknown
  requested_cost_nanousd  INTEGER,              -- what the requested model would have cost
  cache                   TEXT    NOT NULL,     -- hit, miss, bypass
  ttft_us                 INTEGER,              -- to the first content byte; NULL: none was sent
  duration_us             INTEGER NOT NULL,
  error                   TEXT,
  tags                    TEXT                  -- JSON object
) STRICT;
CREATE INDEX requests_at ON requests (at_us);

-- version 2: why a request was decided as it was
ALTER TABLE requests ADD COLUMN ruleset TEXT;  -- hash of the rules in force
ALTER TABLE requests ADD COLUMN facts   TEXT;  -- JSON object: what its decision was made from, see rules/recorded.h

-- version 3: how large prompts were taken for, against what was billed
ALTER TABLE requests ADD COLUMN counted_tokens  INTEGER;  -- the prompt's size as the decision knew it
ALTER TABLE requests ADD COLUMN counted_grade   TEXT;     -- exact, anchored, estimated
ALTER TABLE requests ADD COLUMN estimate_tokens INTEGER;  -- an estimate without corrections, for learning ratios
ALTER TABLE requests ADD COLUMN estimate_key    TEXT;     -- whose ratio: "provider,model", and what kind of prompt

-- version 4: what candidate rules would have done
ALTER TABLE requests ADD COLUMN shadow TEXT;  -- JSON object, see rules/shadow.h

-- version 5: what was spent, kept as sums beside the rows they are made of; money set aside for requests under way
ALTER TABLE requests ADD COLUMN key      TEXT;  -- fingerprint of the credential that the client came with
ALTER TABLE requests ADD COLUMN subagent TEXT;  -- the subagent run, or the outermost one of several nested ones
ALTER TABLE requests ADD COLUMN payer    TEXT;  -- the budget that paid in place of its own, "project:web"

CREATE TABLE spend (
  scope         TEXT    NOT NULL,  -- session, user, project, client, agent, model, key, subagent, tag; empty: all requests
  key           TEXT    NOT NULL,
  hour          INTEGER NOT NULL,  -- number of the last hour in which something was spent, see span_number() in ledger/spend.h
  hour_nanousd  INTEGER NOT NULL,  -- what was spent in it
  day           INTEGER NOT NULL,
  day_nanousd   INTEGER NOT NULL,
  week          INTEGER NOT NULL,
  week_nanousd  INTEGER NOT NULL,
  month         INTEGER NOT NULL,
  month_nanousd INTEGER NOT NULL,
  total_nanousd INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

-- Rows that are older than the sums are added portion by portion, from the newest to the oldest.
CREATE TABLE spend_state (
  one       INTEGER PRIMARY KEY CHECK (one = 1),
  until_seq INTEGER NOT NULL,  -- rows from 1 to this are not in the sums yet
  zone      TEXT    NOT NULL   -- time zone of the calendar periods
) STRICT;
INSERT INTO spend_state VALUES (1, coalesce((SELECT max(seq) FROM requests), 0), 'UTC');

CREATE TABLE holds (
  id              TEXT    PRIMARY KEY,  -- of the request
  owner           TEXT    NOT NULL,     -- the process that sends it: "pid start-time"
  at_us           INTEGER NOT NULL,
  nanousd         INTEGER NOT NULL,     -- what it may cost at most
  client          TEXT,
  dialect         TEXT,
  path            TEXT,
  session         TEXT,
  user            TEXT,
  project         TEXT,
  agent           TEXT,
  request_class   TEXT,
  requested_model TEXT,
  decision_id     TEXT,
  rule            TEXT,
  reason          TEXT,
  provider        TEXT,
  model           TEXT,
  stream          INTEGER NOT NULL,
  tags            TEXT,
  key             TEXT,
  subagent        TEXT,
  payer           TEXT
) STRICT, WITHOUT ROWID;

-- version 6: what broke prompt caches
ALTER TABLE requests ADD COLUMN cache_break         TEXT;     -- expired, tools reordered, tools changed, attribution line, ...
ALTER TABLE requests ADD COLUMN cache_break_tokens  INTEGER;  -- written though the session had them in the cache
ALTER TABLE requests ADD COLUMN cache_break_nanousd INTEGER;  -- what writing them cost more than reading; NULL: the price is unknown

-- version 7: what was served at a tier whose price is not known
ALTER TABLE requests ADD COLUMN unpriced_tier TEXT;  -- priority, fast, flex ...: cost_nanousd is what the standard tier costs

-- version 8: what was billed beside the tokens
ALTER TABLE requests ADD COLUMN unpriced_fees TEXT;  -- "web_search 3, cache_write_12h 1200": not in cost_nanousd, their prices are not known

-- version 9: what budgets count where the cost is not known
ALTER TABLE requests ADD COLUMN budget_nanousd INTEGER;  -- the most it can be, as far as that is known; NULL: cost_nanousd counts

-- version 10: the model whose budget pays
ALTER TABLE requests ADD COLUMN billed_model TEXT;  -- what the target's model is called however it is spelt; NULL: as requested_model says
ALTER TABLE holds    ADD COLUMN billed_model TEXT;

-- version 11: which tree a subagent's run belongs to
CREATE TABLE subagent_runs (
  run   TEXT    PRIMARY KEY,  -- of a subagent that another one started
  root  TEXT    NOT NULL,     -- the outermost of those that started it: its requests' `subagent`
  at_us INTEGER NOT NULL      -- its last request
) STRICT, WITHOUT ROWID;
ALTER TABLE holds ADD COLUMN nested_run TEXT;  -- whose `subagent` is another one
