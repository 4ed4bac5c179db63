"""
The tables of a journal: one SQLite file that holds one run.

    run        one row: the spider, the settings, the state
    tasks      every page ever asked for; a task that has not ended waits, in flight or not
    attempts   one row for each attempt of a task through a proxy; `n` counts from 1 within the task. One that is
               "overtaken" ended because another attempt of the task had the answer; it stands before that one
    items      what the pages gave, as JSON objects; `n` counts from 0 within the task
    proxies    label and fingerprint of each entry that was ever listed; never a password
    events     everything that is not an attempt: moves of proxies, lost workers
    outputs    how far each output file has been written
    doubts     pages that are done, but in doubt: the proxy that gave them may show something else than the site does
    replaced_items  what such pages gave before another proxy gave something else
    pages      page samples: the first page of each kind of failed extraction, compressed; `n` is the attempt's
    files      downloaded files: name in the run's folder, and hash; not `placed`: about to be moved there. `folded` is
               the name as a system sees it that knows no upper and lower case

The transaction that ends a task stores three counts, and `verify` compares the other rows with them: `items_n`,
`links_n` (child tasks that the page asked for) and `children_n` (those of them that were new). `forgotten` is the
number of its attempts from before it was put back: they stay on record, but no longer count against it. `digest` tells
one body from another.

A task in doubt stays done, with its items, while its page is asked for once more. `sure` says that the proxy was found
out; without it that is what the second look is for. The `verdict` is NULL as long as that goes on; then the page was
"kept", "replaced" by another proxy's, or it is "unknown", because no other proxy had an answer. Ids of items are never
used again.

Times are epoch seconds, durations seconds, sizes bytes.
"""

#: "pinp" in the file's header: it tells a journal from any other SQLite file.
APPLICATION_ID = 0x70696E70
INDEX_STAGE = "index"
#: Why a proxy is retired that is no longer on the list.
WITHDRAWN = "withdrawn from the list"

COUNT_TASKS = "SELECT state, count(*) FROM tasks GROUP BY state"
ADD_ATTEMPT = (
    "INSERT INTO attempts (task, n, proxy, worker, at, seconds, ending, fault, status, size, message, charged, digest)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
ADD_OUTPUT = "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?)"
LIST_OUTPUTS = "SELECT * FROM outputs ORDER BY path"
#: An item of an unknown task, of which `verify` speaks, is an item all the same.
SELECT_ITEMS = "SELECT items.id, coalesce(stage, ''), items.data FROM items LEFT JOIN tasks ON tasks.id = task"
SELECT_REPLACED = SELECT_ITEMS.replace("FROM items", "FROM replaced_items AS items")

#: Part of a migration, so it never changes. A reader of an older journal makes this table too, in memory.
DOUBTS = """doubts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL UNIQUE REFERENCES tasks (id),
    proxy INTEGER NOT NULL REFERENCES proxies (id),
    sure INTEGER NOT NULL,
    why TEXT NOT NULL,
    verdict TEXT CHECK (verdict IN ('kept', 'replaced', 'unknown'))
)"""
#: Pages of proxies that were found out, which no other proxy has given yet.
COUNT_DOUBTED = "SELECT count(*) FROM doubts WHERE sure AND coalesce(verdict, 'unknown') = 'unknown'"

#: Entry n brings a journal from user_version n to n + 1. A released entry never changes; new ones follow it.
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
    # The ending "overtaken". SQLite cannot change a CHECK, so the table is made again, in the same pages of the file.
    (
        "CREATE TEMP TABLE kept AS SELECT * FROM attempts",
        "DROP TABLE attempts",
        """
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks (id),
            n INTEGER NOT NULL,
            proxy INTEGER REFERENCES proxies (id),
            worker INTEGER NOT NULL,
            at REAL NOT NULL,
            seconds REAL NOT NULL,
            ending TEXT NOT NULL CHECK (ending IN ('ok', 'gone', 'failed', 'overtaken')),
            fault TEXT,
            status INTEGER,
            size INTEGER NOT NULL,
            message TEXT,
            charged INTEGER NOT NULL,
            forgiven INTEGER NOT NULL DEFAULT 0,
            excused INTEGER NOT NULL DEFAULT 0,
            UNIQUE (task, n)
        )
        """,
        """
        INSERT INTO attempts SELECT
            id, task, n, proxy, worker, at, seconds, ending, fault, status, size, message, charged, forgiven, excused
        FROM kept ORDER BY id
        """,
        "DROP TABLE kept",
    ),
    # The states "stopped" and "limited", in the same way.
    (
        "CREATE TEMP TABLE kept AS SELECT * FROM run",
        "DROP TABLE run",
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
            state TEXT NOT NULL CHECK (
                state IN ('running', 'complete', 'interrupted', 'starved', 'stopped', 'limited')
            ),
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
        "INSERT INTO run SELECT * FROM kept",
        "DROP TABLE kept",
    ),
    # Second looks at pages in doubt.
    (
        "ALTER TABLE attempts ADD COLUMN digest INTEGER",
        f"CREATE TABLE {DOUBTS}",
        """
        CREATE TABLE replaced_items (
            id INTEGER PRIMARY KEY,
            task INTEGER NOT NULL REFERENCES tasks (id),
            n INTEGER NOT NULL,
            data TEXT NOT NULL
        )
        """,
    ),
    (
        """
        CREATE TABLE files (
            task INTEGER PRIMARY KEY REFERENCES tasks (id),
            name TEXT NOT NULL,
            folded TEXT NOT NULL UNIQUE,
            part TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            placed INTEGER NOT NULL DEFAULT 0
        )
        """,
        "CREATE INDEX files_unplaced ON files (task) WHERE NOT placed",
    ),
)
