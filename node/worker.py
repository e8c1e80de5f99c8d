"""A process that does one job after another for a node, since some libraries hold the interpreter lock while they work.

`python -m node.worker` takes jobs from its standard input and gives results on its standard output. Both ends are ours:
what is unpickled is what the other end pickled, though a job carries peers' bytes as data. It ends when its input does,
however the node went; a job that fails ends it too, its traceback on standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection


def main() -> None:
    """Work until there is no more to do."""
    # Ctrl-C reaches the whole terminal group; the node says when this ends, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = Connection(sys.stdin.fileno(), writable=False)
    results = Connection(os.dup(sys.stdout.fileno()), readable=False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not end up among the results
    while True:
        try:
            job = jobs.recv()
        except EOFError:
            return
        results.send(job.run())


if __name__ == "__main__":
    main()
