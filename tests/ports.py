"""TCP ports for the processes that tests and benchmarks start."""

import random
import socket

# Above the ports of the README's examples, below those that a system gives to outgoing connections of itself: a port
# of the second kind, free when it was asked for, may belong to anybody's connection by the time a node listens there.
_PORTS = range(10_000, 32_000)


def _are_free(ports: range) -> bool:
    """Whether nobody listens at any of these `ports` of this machine now."""
    try:
        for port in ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def free_ports(count: int) -> range:
    """So many free ports in a row, somewhere at random: tests that run beside each other do not meet."""
    draw = random.SystemRandom()
    for _ in range(100):
        first = draw.randrange(_PORTS.start, _PORTS.stop - count)
        if _are_free(found := range(first, first + count)):
            return found
    raise RuntimeError(f"no {count} free ports in a row on 127.0.0.1 in {_PORTS}: stop what listens there")
