"""Rounds of the event loop: all who have something to say write when it has gone round."""

from typing import Any, cast

from ringkeeper import commands
from ringkeeper.server.dispatch import Dispatcher
from ringkeeper.server.node_time import NodeTime, read_clocks
from ringkeeper.server.traffic import Sender, Traffic
from ringkeeper.store.keyspace import Clock


class Loop:
    """Calls back when told that it has gone round."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, callback: Any) -> None:
        self.soon.append(callback)

    def go_round(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Speaker(Sender):
    def __init__(self, said: list[str], word: str, *, then: "Speaker | None" = None, traffic: Traffic) -> None:
        self.said, self.word, self.then, self.traffic = said, word, then, traffic

    def send(self) -> None:
        self.said.append(self.word)
        if self.then is not None:
            self.traffic.send_soon(self.then)


def traffic_on(loop: Loop) -> Traffic:
    time = NodeTime(Clock(0), read_clocks())
    return Traffic(dispatcher=Dispatcher(commands.load()), time=time, loop=cast(Any, loop))


def test_all_write_in_their_order_when_the_loop_has_gone_round() -> None:
    loop, said = Loop(), list[str]()
    traffic = traffic_on(loop)
    late = Speaker(said, "late", traffic=traffic)
    traffic.begin_turn(1)
    traffic.send_soon(Speaker(said, "first", then=late, traffic=traffic))
    traffic.begin_turn(2)
    traffic.send_soon(Speaker(said, "second", traffic=traffic))
    assert said == []
    assert len(loop.soon) == 1, "one end for the round"
    loop.go_round()
    assert said == ["first", "second"]
    loop.go_round()
    assert said == ["first", "second", "late"]
    assert loop.soon == []
