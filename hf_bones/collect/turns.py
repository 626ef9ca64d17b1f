"""Whose turn it is: which host's URL is fetched next, so that no slow host holds up the others.

Plain bookkeeping: `run.py` starts the downloads and says when they end. Not here: how far apart the requests to a host start
(`http/pace.py`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

from hf_bones.collect.queue import Waiting

LOOK_AHEAD = 16  # URLs of a host read from the manifest at once


class Turns:
    """The hosts that URLs wait for, taken in turn, and how many downloads are in flight at each.

    `read` gives the next waiting URLs of a host: (host, behind which row id, at most how many). At most `per_host` downloads are in flight
    at one host, and `most` in all. `held` maps hosts that asked for a long pause to its seconds: their URLs are left to a later run.
    """

    def __init__(self, read: Callable[[str, int, int], Sequence[Waiting]], *, per_host: int, most: int) -> None:
        self.held: dict[str, float] = {}
        self._read, self._per_host, self._most = read, per_host, most
        self._ahead: OrderedDict[str, deque[Waiting]] = OrderedDict()  # the hosts in the order of their turns, and what is read of each
        self._read_to: dict[str, int] = {}  # the row id up to which a host's URLs have been read
        self._in_flight: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        """Nothing is in flight, and no host is known to have URLs waiting."""
        return not self._ahead and not self._in_flight

    def add(self, host: str) -> None:
        """URLs wait for this host: it joins the end of the row, unless it stands there."""
        self._ahead.setdefault(host, deque())

    def next(self) -> tuple[str, Waiting] | None:
        """The next URL of the next host that has a place free, which is taken; None where there is none now."""
        if self._in_flight.total() >= self._most:
            return None
        for _ in range(len(self._ahead)):
            host, ahead = next(iter(self._ahead.items()))
            self._ahead.move_to_end(host)
            if self._in_flight[host] >= self._per_host:  # a Counter: 0 for a host that has none
                continue
            if not ahead and host not in self.held:
                ahead.extend(self._read(host, self._read_to.get(host, 0), LOOK_AHEAD))
                if ahead:
                    self._read_to[host] = ahead[-1].rowid
            if ahead:
                self._in_flight[host] += 1
                return host, ahead.popleft()
            del self._ahead[host]
        return None

    def done(self, host: str) -> None:
        """A download has ended, however it ended: its place is free."""
        self._in_flight[host] -= 1
        if not self._in_flight[host]:
            del self._in_flight[host]

    def hold(self, host: str, seconds: float) -> None:
        """The host asks for a longer pause than a run waits for."""
        self.held[host] = seconds
        if host in self._ahead:
            self._ahead[host].clear()

    def read_again(self, hosts: Iterable[str]) -> None:
        """Reads from the beginning what waits for these hosts, but for those that are held."""
        self._read_to.clear()
        for host in hosts:
            if host not in self.held:
                self.add(host)
