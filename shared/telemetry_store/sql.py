"""The SQL of the SQLite telemetry store: tables, and one statement a use."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_span_id TEXT, service TEXT NOT NULL, name TEXT NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, status TEXT NOT NULL, attributes TEXT NOT NULL,
    links TEXT NOT NULL, PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_by_time ON spans (start_ns);
CREATE TABLE IF NOT EXISTS span_links (
    linked_trace_id TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, start_ns INTEGER NOT NULL,
    PRIMARY KEY (linked_trace_id, trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS span_links_by_time ON span_links (start_ns);
CREATE TABLE IF NOT EXISTS span_attributes (
    name TEXT NOT NULL, value TEXT NOT NULL, start_ns INTEGER NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
    PRIMARY KEY (name, value, start_ns, trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS span_attributes_by_time ON span_attributes (start_ns);
CREATE TABLE IF NOT EXISTS log_lines (
    seq INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, time_ns INTEGER NOT NULL, service TEXT NOT NULL,
    severity TEXT NOT NULL, body TEXT NOT NULL, trace_id TEXT, span_id TEXT, attributes TEXT NOT NULL,
    level INTEGER NOT NULL, pattern TEXT NOT NULL, words TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_lines_by_time ON log_lines (time_ns);
CREATE INDEX IF NOT EXISTS log_lines_by_trace ON log_lines (trace_id, time_ns) WHERE trace_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS log_lines_by_level ON log_lines (level, time_ns);
CREATE INDEX IF NOT EXISTS log_lines_by_pattern ON log_lines (service, pattern, level, time_ns);
-- The words are cut by us: blanks divide them, and whatever is not ASCII is part of one.
CREATE VIRTUAL TABLE IF NOT EXISTS log_words USING fts5 (words, content = log_lines, content_rowid = seq, tokenize = ascii);
CREATE TRIGGER IF NOT EXISTS log_words_come AFTER INSERT ON log_lines BEGIN
    INSERT INTO log_words (rowid, words) VALUES (new.seq, new.words);
END;
CREATE TRIGGER IF NOT EXISTS log_words_go AFTER DELETE ON log_lines BEGIN
    INSERT INTO log_words (log_words, rowid, words) VALUES ('delete', old.seq, old.words);
END;
CREATE TABLE IF NOT EXISTS series (
    series TEXT PRIMARY KEY, service TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, is_delta INTEGER NOT NULL,
    attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS series_by_name ON series (name);
CREATE TABLE IF NOT EXISTS points (
    series TEXT NOT NULL, time_ns INTEGER NOT NULL, value REAL, bounds TEXT, counts TEXT,
    PRIMARY KEY (series, time_ns)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS points_by_time ON points (time_ns);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, causation_id TEXT,
    domain TEXT NOT NULL, occurred_at TEXT NOT NULL, occurred_us INTEGER NOT NULL, trace_id TEXT, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_topic ON events (topic, domain, occurred_us);
CREATE INDEX IF NOT EXISTS events_by_trace ON events (trace_id) WHERE trace_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS event_subjects (
    subject TEXT NOT NULL, event_id TEXT NOT NULL, PRIMARY KEY (subject, event_id)
) WITHOUT ROWID;
"""

ADD_SPAN = "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_SPAN_LINK = "INSERT OR IGNORE INTO span_links VALUES (?, ?, ?, ?)"
ADD_SPAN_ATTRIBUTE = "INSERT OR IGNORE INTO span_attributes VALUES (?, ?, ?, ?, ?)"
ADD_LOG = "INSERT OR IGNORE INTO log_lines VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
LOG_IS_KEPT = "SELECT 1 FROM log_lines WHERE uid = ?"
ADD_SERIES = "INSERT OR IGNORE INTO series VALUES (?, ?, ?, ?, ?, ?)"
ADD_POINT = "INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?, ?)"
ADD_EVENT = """
INSERT OR IGNORE INTO events (event_id, topic, causation_id, domain, occurred_at, occurred_us, trace_id, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_EVENT_SUBJECT = "INSERT OR IGNORE INTO event_subjects VALUES (?, ?)"

SPANS_OF_TRACE = "SELECT * FROM spans WHERE trace_id = ? ORDER BY start_ns, span_id LIMIT ?"
SPANS_WITH_ATTRIBUTE = """
SELECT spans.* FROM span_attributes AS found JOIN spans USING (trace_id, span_id)
WHERE found.name = ? AND found.value = ? ORDER BY found.start_ns DESC, found.span_id LIMIT ?
"""
SPANS_LINKED_TO = """
SELECT spans.* FROM span_links AS found JOIN spans USING (trace_id, span_id)
WHERE found.linked_trace_id = ? AND found.trace_id != ? ORDER BY found.start_ns, found.span_id LIMIT ?
"""
_LOG_COLUMNS = "uid, time_ns, service, severity, body, trace_id, span_id, attributes"
LOGS = f"""
SELECT {_LOG_COLUMNS} FROM log_lines WHERE time_ns > :after_ns AND (:service IS NULL OR service = :service)
ORDER BY time_ns, uid LIMIT :limit
"""  # noqa: S608 a constant
LOGS_OF_TRACE = f"""
SELECT {_LOG_COLUMNS} FROM log_lines WHERE trace_id = :trace_id AND (:service IS NULL OR service = :service)
AND time_ns > :after_ns ORDER BY time_ns, uid LIMIT :limit
"""  # noqa: S608 a constant
_ASKED_LOGS = """
time_ns > :after_ns AND time_ns < :before_ns AND (:service IS NULL OR service = :service)
AND (:trace_id IS NULL OR trace_id = :trace_id) AND level >= :min_level
"""
# Rows lie in the order of time, words too: the newest are found first, however many there are.
SEARCH_LOGS = f"SELECT {_LOG_COLUMNS} FROM log_lines WHERE {_ASKED_LOGS} ORDER BY seq DESC LIMIT :limit"  # noqa: S608
SEARCH_WORDS = f"""
SELECT {_LOG_COLUMNS} FROM log_words CROSS JOIN log_lines ON seq = log_words.rowid
WHERE log_words MATCH :match AND {_ASKED_LOGS} ORDER BY log_words.rowid DESC LIMIT :limit
"""  # noqa: S608 a constant
_GROUPED = """
SELECT service, pattern, count(*) AS num_records, min(time_ns) AS first_ns, max(time_ns) AS last_ns
"""
_MOST_FREQUENT = "GROUP BY service, pattern ORDER BY num_records DESC, service, pattern LIMIT :limit"
LOG_PATTERNS = f"{_GROUPED} FROM log_lines WHERE {_ASKED_LOGS} {_MOST_FREQUENT}"
LOG_PATTERNS_WITH_WORDS = f"""
{_GROUPED} FROM log_words CROSS JOIN log_lines ON seq = log_words.rowid
WHERE log_words MATCH :match AND {_ASKED_LOGS} {_MOST_FREQUENT}
"""
LOG_OF_PATTERN = f"""
SELECT {_LOG_COLUMNS} FROM log_lines
WHERE service = ? AND pattern = ? AND time_ns = ? ORDER BY uid DESC LIMIT 1
"""  # noqa: S608 a constant
METRICS = """
SELECT series, service, name, kind, is_delta, time_ns, value, bounds, counts, attributes
FROM points JOIN series USING (series) WHERE name = ? AND time_ns > ? ORDER BY time_ns, series LIMIT ?
"""

_EVENT_COLUMNS = "topic, event_id, causation_id, occurred_at, domain, trace_id, body"
EVENT = f"SELECT {_EVENT_COLUMNS} FROM events WHERE event_id = ?"  # noqa: S608 a constant
EVENTS = f"""
SELECT {_EVENT_COLUMNS} FROM events
WHERE (:domain IS NULL OR domain = :domain) AND (:topic IS NULL OR topic = :topic)
AND occurred_us > :after_us
AND seq > CASE WHEN :after_id IS NULL THEN 0 ELSE (SELECT seq FROM events WHERE event_id = :after_id) END
ORDER BY seq LIMIT :limit
"""  # noqa: S608 a constant
EVENTS_OF_TRACE = f"SELECT {_EVENT_COLUMNS} FROM events WHERE trace_id = ? ORDER BY seq"  # noqa: S608 a constant
EVENTS_ABOUT = f"""
SELECT {_EVENT_COLUMNS} FROM event_subjects JOIN events USING (event_id) WHERE subject = ? ORDER BY seq
"""  # noqa: S608 a constant
# SQLite takes a bare column of a max() query from the row that holds the maximum.
LATEST_EVENTS = f"""
SELECT {_EVENT_COLUMNS} FROM events
WHERE seq IN (SELECT seq FROM (SELECT seq, max(occurred_us) FROM events GROUP BY topic, domain)) ORDER BY seq
"""  # noqa: S608 a constant

# Tables without a rowid are named by their keys; SQLite is seldom built with LIMIT for DELETE itself.
DELETE_POINTS = """
DELETE FROM points WHERE (series, time_ns) IN (SELECT series, time_ns FROM points WHERE time_ns < ? LIMIT ?)
"""
DELETE_SERIES = "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE points.series = series.series)"
DELETE_LOGS = "DELETE FROM log_lines WHERE seq IN (SELECT seq FROM log_lines WHERE time_ns < ? LIMIT ?)"
DELETE_SPANS = """
DELETE FROM spans WHERE (trace_id, span_id) IN (SELECT trace_id, span_id FROM spans WHERE start_ns < ? LIMIT ?)
"""
DELETE_SPAN_LINKS = """
DELETE FROM span_links WHERE (linked_trace_id, trace_id, span_id) IN
(SELECT linked_trace_id, trace_id, span_id FROM span_links WHERE start_ns < ? LIMIT ?)
"""
DELETE_SPAN_ATTRIBUTES = """
DELETE FROM span_attributes WHERE (name, value, start_ns, trace_id, span_id) IN
(SELECT name, value, start_ns, trace_id, span_id FROM span_attributes WHERE start_ns < ? LIMIT ?)
"""
DELETE_EVENTS = """
DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE topic = ? AND occurred_us < ? LIMIT ?)
"""
DELETE_OTHERS = (DELETE_LOGS, DELETE_SPANS, DELETE_SPAN_LINKS, DELETE_SPAN_ATTRIBUTES)

OLD_LOGS = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'logs'"
"""The logs of a store that could not be searched by words yet; they are taken over once."""
READ_OLD_LOGS = "SELECT * FROM logs"
DROP_OLD_LOGS = "DROP TABLE logs"
