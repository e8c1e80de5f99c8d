"""Children that are killed at work: forks, so that a test can afford many."""

import os
import signal
import time


def killed(work, *, reports, more_s=0.0):
    """Run `work(report)` in a child and kill -9 it `more_s` seconds after it has called `report` that many times. How
    often it did so in the end.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            work(lambda: os.write(writer, b"x"))
        finally:
            os._exit(7)  # not reached where the test is right: work does not end by itself
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        count = 0
        while count < reports:
            part = pipe.read(reports - count)
            if not part:
                break
            count += len(part)
        time.sleep(more_s)  # the later, the further into the next piece of work
        os.kill(pid, signal.SIGKILL)
        count += len(pipe.read())
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"
    return count
