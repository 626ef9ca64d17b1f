"""The turns of the hosts: `python -m pytest tests/collect/test_turns.py`."""

import pytest

from hf_bones.collect.queue import Waiting
from hf_bones.collect.turns import LOOK_AHEAD, Turns


class Waitlist:
    """What waits for each host, read as the manifest's queue is: in order, behind a row."""

    def __init__(self, **counts):
        self.waiting = {host: [Waiting(row, f"http://{host}/{row}", "") for row in range(1, count + 1)] for host, count in counts.items()}
        self.reads = []

    def read(self, host, after, count):
        self.reads.append((host, after))
        return [each for each in self.waiting.get(host, []) if each.rowid > after][:count]

    def turns(self, per_host=1, most=100):
        turns = Turns(self.read, per_host=per_host, most=most)
        for host in self.waiting:
            turns.add(host)
        return turns


def taken(turns):
    """The turns that can be had now, as "host/row"."""
    return [turn[1].url.removeprefix("http://") for turn in iter(turns.next, None)]


def one_by_one(turns):
    """All turns, each ended before the next is taken."""
    urls = []
    while (turn := turns.next()) is not None:
        urls.append(turn[1].url.removeprefix("http://"))
        turns.done(turn[0])
    return urls


def test_hosts_come_round_in_turn_and_a_long_queue_holds_up_no_short_one():
    assert one_by_one(Waitlist(a=4, b=2, c=1).turns()) == ["a/1", "b/1", "c/1", "a/2", "b/2", "a/3", "a/4"]


@pytest.mark.parametrize(
    ("per_host", "expected"), [(1, ["a/1", "b/1"]), (2, ["a/1", "b/1", "a/2", "b/2"]), (9, ["a/1", "b/1", "a/2", "b/2", "a/3"])]
)
def test_a_host_has_no_more_in_flight_than_it_may(per_host, expected):
    turns = Waitlist(a=3, b=2).turns(per_host=per_host)
    assert taken(turns) == expected and not turns.idle


def test_no_more_are_in_flight_in_all_than_may_be_and_one_that_ends_makes_room():
    turns = Waitlist(a=3, b=3, c=3).turns(per_host=2, most=2)
    assert taken(turns) == ["a/1", "b/1"]
    turns.done("b")
    assert taken(turns) == ["c/1"]


def test_a_host_is_read_a_few_urls_ahead_and_each_url_once():
    waitlist = Waitlist(a=LOOK_AHEAD + 3)
    turns = waitlist.turns()
    assert one_by_one(turns) == [f"a/{row}" for row in range(1, LOOK_AHEAD + 4)] and turns.idle
    assert waitlist.reads == [("a", 0), ("a", LOOK_AHEAD), ("a", LOOK_AHEAD + 3)]
    turns.add("a")
    assert turns.next() is None and waitlist.reads[-1] == ("a", LOOK_AHEAD + 3)


def test_a_host_that_is_named_again_keeps_its_place():
    turns = Waitlist(a=2, b=1).turns()
    turns.add("a")
    assert one_by_one(turns) == ["a/1", "b/1", "a/2"]


def test_urls_that_come_later_are_taken_where_the_reading_had_stopped():
    waitlist = Waitlist(a=1)
    turns = waitlist.turns()
    assert one_by_one(turns) == ["a/1"]
    waitlist.waiting["a"].append(Waiting(7, "http://a/7", ""))
    turns.add("a")
    assert one_by_one(turns) == ["a/7"]


def test_a_held_host_gets_no_turn_any_more_and_the_others_go_on():
    turns = Waitlist(a=3, b=2).turns()
    host, _ = turns.next()
    turns.hold(host, 3600.0)
    turns.done(host)
    assert one_by_one(turns) == ["b/1", "b/2"] and turns.idle and turns.held == {"a": 3600.0}
    turns.read_again(["a"])
    assert turns.next() is None and turns.idle


def test_a_host_can_be_held_that_no_url_waits_for():
    turns = Waitlist(a=1).turns()
    turns.hold("elsewhere", 60.0)  # where a redirect led
    assert one_by_one(turns) == ["a/1"] and turns.held == {"elsewhere": 60.0}


def test_read_again_finds_what_was_let_wait_behind_the_reader():
    waitlist = Waitlist(a=2)
    turns = waitlist.turns()
    one_by_one(turns)
    del waitlist.waiting["a"][1]
    turns.read_again(["a"])
    assert one_by_one(turns) == ["a/1"]


def test_it_is_idle_only_when_nothing_waits_and_nothing_is_in_flight():
    turns = Waitlist(a=1).turns()
    assert not turns.idle
    turns.next()
    assert turns.next() is None and not turns.idle
    turns.done("a")
    assert turns.next() is None and turns.idle
