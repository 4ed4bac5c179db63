"""
The shape of a journal: one SQLite file that holds one run. Texts and rows only; `journal.py` writes,
`reading.py` reads.

    run        one row: what is run, with what settings, how it stands
    tasks      every page ever asked for; whatever is not ended waits, in flight or not
    attempts   one row for each try of a task through a proxy; `n` counts from 1 within the task
    items      what the pages gave, as JSON objects; `n` counts from 0 within the task
    proxies    label and fingerprint of each entry that was ever listed; never a password
    events     what is no attempt: proxies that moved, workers that were lost
    outputs    how far each output file has been written
    pages      the first page of each kind of failed extraction, compressed; `n` is the attempt's

Three counts of a task are written by the transaction that ends it, and are what `verify` holds the other rows
against: `items_n`, `links_n` (child tasks that the page asked for) and `children_n` (those of them that were
new). `forgotten` is the number of its attempts from before it was put back: kept, but no longer held
against it.

Times are epoch seconds, durations seconds, sizes bytes.
"""

from __future__ import annotations

APPLICATION_ID = (
    0x70696E70  # "pinp": the mark in the file's header that tells a journal from any other SQLite file
)

INDEX_STAGE = "index"


# Entry n lifts a journal from user_version n to n + 1. Entries are never changed once released, only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE run (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            spider TEXT NOT NULL,
            spider_ref TEXT NOT NULL,
            version TEXT NOT NULL,
            workers INTEGER NOT NULL,
            engine TEXT NOT NULL,
            start_method TEXT,
            settings TEXT NOT NULL,
            proxies TEXT NOT NULL,
            salt BLOB NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'interrupted', 'starved')),
            started REAL NOT NULL,
            ended REAL,
            heartbeat REAL NOT NULL,
            seconds REAL NOT NULL DEFAULT 0,
            starts INTEGER NOT NULL DEFAULT 1,
            seeds INTEGER NOT NULL DEFAULT 0,
            in_flight INTEGER NOT NULL DEFAULT 0,
            worker_losses INTEGER NOT NULL DEFAULT 0,
            pool_rebuilds INTEGER NOT NULL DEFAULT 0,
            pid INTEGER
        )
        """,
        """
        CREATE TABLE tasks (
            id INTEGER PRIMARY KEY,
            stage TEXT NOT NULL,
            key BLOB NOT NULL UNIQUE,
            url TEXT NOT NULL,
            method TEXT NOT NULL,
            body BLOB,
            headers TEXT,
            data TEXT,
            parent INTEGER REFERENCES tasks (id),
            is_index INTEGER NOT NULL,
            state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'gone', 'failed')),
            reason TEXT,
            attempts INTEGER NOT NULL DEFAULT 0,
            charged INTEGER NOT NULL DEFAULT 0,
            forgotten INTEGER NOT NULL DEFAULT 0,
            not_before REAL,
            ended REAL,
            items_n INTEGER NOT NULL DEFAULT 0,
            links_n INTEGER NOT NULL DEFAULT 0,
            children_n INTEGER NOT NULL DEFAULT 0
        )
        """,
        "CREATE INDEX tasks_waiting ON tasks (is_index, id) WHERE state = 'waiting'",
        """
        CREATE TABLE proxies (
            id INTEGER PRIMARY KEY,
            label TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'spare' CHECK (state IN ('spare', 'pinned', 'cooling', 'retired')),
            reason TEXT,
            until REAL,
            coolings INTEGER NOT NULL DEFAULT 0,
            listed INTEGER NOT NULL DEFAULT 1,
            UNIQUE (label, fingerprint)
        )
        """,
        """
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks (id),
            n INTEGER NOT NULL,
            proxy INTEGER REFERENCES proxies (id),
            worker INTEGER NOT NULL,
            at REAL NOT NULL,
            seconds REAL NOT NULL,
            ending TEXT NOT NULL CHECK (ending IN ('ok', 'gone', 'failed')),
            fault TEXT,
            status INTEGER,
            size INTEGER NOT NULL,
            message TEXT,
            charged INTEGER NOT NULL,
            forgiven INTEGER NOT NULL DEFAULT 0,
            UNIQUE (task, n)
        )
        """,
        """
        CREATE TABLE items (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks (id),
            n INTEGER NOT NULL,
            data TEXT NOT NULL,
            UNIQUE (task, n)
        )
        """,
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            proxy INTEGER,
            worker INTEGER,
            detail TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE outputs (
            path TEXT PRIMARY KEY,
            format TEXT NOT NULL,
            base INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            last_item INTEGER NOT NULL
        )
        """,
    ),
    ("ALTER TABLE attempts ADD COLUMN excused INTEGER NOT NULL DEFAULT 0",),
    (
        """
        CREATE TABLE pages (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks (id),
            n INTEGER NOT NULL,
            kind TEXT NOT NULL UNIQUE,
            url TEXT NOT NULL,
            status INTEGER NOT NULL,
            headers TEXT NOT NULL,
            body BLOB NOT NULL,
            size INTEGER NOT NULL
        )
        """,
    ),
)


FIND_WAITING = "SELECT attempts FROM tasks WHERE id = ? AND state = 'waiting'"
ADD_TASK = """
    INSERT INTO tasks (stage, key, url, method, body, headers, data, parent, is_index)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING
"""
ADD_ATTEMPT = """
    INSERT INTO attempts (task, n, proxy, worker, at, seconds, ending, fault, status, size, message, charged)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ADD_ITEM = "INSERT INTO items (task, n, data) VALUES (?, ?, ?)"
ADD_SAMPLE = """
    INSERT INTO pages (task, n, kind, url, status, headers, body, size)
    SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM pages) < ? ON CONFLICT (kind) DO NOTHING
"""
ADD_EVENT = "INSERT INTO events (at, kind, proxy, worker, detail) VALUES (?, ?, ?, ?, ?)"
END_TASK = """
    UPDATE tasks SET state = ?, reason = ?, ended = ?, not_before = NULL, attempts = ?, charged = charged + ?,
        items_n = ?, links_n = ?, children_n = ? WHERE id = ?
"""
PUT_OFF = "UPDATE tasks SET not_before = ?, attempts = ?, charged = charged + ? WHERE id = ?"
PUT_BACK = """
    UPDATE tasks SET state = 'waiting', reason = NULL, ended = NULL, charged = 0, forgotten = attempts
    WHERE state = 'failed'
        AND (:id IS NULL OR id = :id)
        AND (:url IS NULL OR url = :url)
        AND (:reason IS NULL OR instr(lower(reason), lower(:reason)) OR EXISTS (
            SELECT 1 FROM attempts WHERE task = tasks.id AND n = tasks.attempts AND fault = :reason))
"""
FORGIVE = "UPDATE attempts SET forgiven = 1 WHERE task = ? AND proxy = ? AND charged"
EXCUSE = """
    UPDATE attempts SET excused = 1, forgiven = charged
    WHERE id = (SELECT max(id) FROM attempts WHERE task = ? AND proxy = ? AND ending = 'failed')
"""
CHARGE = "UPDATE attempts SET charged = 1 WHERE task = ? AND proxy = ? AND ending = 'failed' AND NOT excused"
FIND_WITNESSES = """
    SELECT stage, url, key, method, body, headers, data FROM tasks
    WHERE state = 'done' AND method = 'GET' AND reason IS NULL ORDER BY ended DESC LIMIT ?
"""
SET_PROXY = "UPDATE proxies SET state = ?, reason = ?, until = ?, coolings = ? WHERE id = ?"
LIST_PROXY = """
    INSERT INTO proxies (label, fingerprint) VALUES (?, ?)
    ON CONFLICT (label, fingerprint) DO UPDATE SET listed = 1
    RETURNING id, label, state, reason, until, coolings
"""
LIST_WAITING = """
    SELECT id, stage, url, key, method, body, headers, data, attempts - forgotten, charged, not_before
    FROM tasks WHERE state = 'waiting' AND is_index = ? AND id > ? ORDER BY id LIMIT ?
"""
LIST_HISTORY = """
    SELECT proxy, fault, charged, excused FROM attempts WHERE task = ? AND ending = 'failed'
        AND n > (SELECT forgotten FROM tasks WHERE id = attempts.task) ORDER BY n
"""
COUNT_TASKS = "SELECT state, count(*) FROM tasks GROUP BY state"
LIST_OUTPUTS = "SELECT * FROM outputs ORDER BY path"
HEARTBEAT = "UPDATE run SET in_flight = ?, worker_losses = ?, pool_rebuilds = ?, heartbeat = ?, seconds = ?"
FINISH = "UPDATE run SET state = ?, ended = ?, heartbeat = ?, seconds = ?, in_flight = 0"
#: Why a proxy is retired that the list does not name any more.
WITHDRAWN = "withdrawn from the list"
#: A proxy that was withdrawn while it was pinned may have been on its way out still.
UNPIN = f"""
    UPDATE proxies
    SET state = iif(listed, 'spare', 'retired'), reason = iif(listed, reason, '{WITHDRAWN}')
    WHERE state = 'pinned'
"""
RESTARTED = "state = 'running', ended = NULL, heartbeat = :now, starts = starts + 1, in_flight = 0"


def refusal(path: str, application_id: int, user_version: int) -> str | None:
    """
    Why the SQLite file with these two header fields cannot be used as a journal, with the next step; None if
    it can.
    """
    if application_id != APPLICATION_ID:
        return f"{path}: is SQLite, but no pinpool journal: name the .db file that `pinpool crawl` wrote"
    if user_version > len(MIGRATIONS):
        return (
            f"{path}: made by a newer pinpool (journal version {user_version}; this one knows up to"
            f" {len(MIGRATIONS)}): upgrade pinpool"
        )
    return None
