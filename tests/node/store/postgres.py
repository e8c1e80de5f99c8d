"""A PostgreSQL server of the tests' own: in a temporary folder, on a unix socket, gone when the block ends."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg


def binaries():
    """The folder of the newest installed server; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """A running server; `new_url` gives an empty place in it, a schema of its own."""

    def __init__(self, folder):
        self._socket = folder
        self._numbers = count()

    @property
    def conninfo(self):
        return f"host={self._socket} user=tests dbname=postgres"

    def new_url(self):
        name = f"node_{next(self._numbers)}"
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"postgresql://tests@/postgres?host={quote(str(self._socket))}&options=-csearch_path%3D{name}"


@contextmanager
def open_server(*settings):
    """Start one, with `settings` beside those of a fresh cluster: fsync is on, as where people run it."""
    folder = Path(tempfile.mkdtemp(prefix="gv-pg-", dir="/tmp"))  # a socket's path is 107 bytes at most
    # The server refuses to be root.
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    who = dict(user=account.pw_uid, group=account.pw_gid, extra_groups=[]) if account else {}
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    bin_, data = binaries(), folder / "data"
    init = [bin_ / "initdb", "--no-sync", "-A", "trust", "-U", "tests", "-E", "UTF8", "--locale=C", "-D", data]
    subprocess.run(init, check=True, capture_output=True, cwd=folder, **who)
    options = ["-k", folder, "-h", "", *(part for one in settings for part in ("-c", one))]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([bin_ / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=folder, **who)
    try:
        running = Server(folder)
        _await(running, server, folder / "log")
        yield running
    finally:
        server.terminate()
        server.send_signal(3)  # SIGQUIT: at once, whoever is connected
        server.wait()
        shutil.rmtree(folder)


def _await(running, server, log):
    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(running.conninfo).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.02)
        else:
            return
