"""The settings that an operator hands to nodes: both sides mean the same by them, and by their digest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringkeeper.cluster.settings import Settings, SettingsError, decode, digest_of, encode
from ringkeeper.server.config import read_arguments
from ringkeeper.store.namespaces import Namespace

MANY = Settings(
    "volatile-ttl",
    (Namespace(b"a:"), Namespace("é\"'\\ \u2028".encode(), 1024, "noeviction", 90_000, 3_600_000), Namespace(b"\0\n")),
)


KEPT = Settings(save="300 1 60 10000", append_only=True, fsync="always")


@pytest.mark.parametrize("settings", [Settings(), MANY, KEPT])
def test_what_was_sent_is_what_arrives(settings: Settings) -> None:
    assert decode(json.loads(json.dumps(encode(settings, 7)))) == (settings, 7)


@pytest.mark.parametrize("settings", [Settings(), MANY, Settings(save="300 1")])
def test_a_node_that_holds_them_tells_their_digest(settings: Settings) -> None:
    words = [word for name, value in settings.for_file().items() for word in (f"--{name}", value)]
    assert digest_of(read_arguments(words).values) == settings.digest
    assert digest_of(read_arguments([]).values) == Settings().digest


def test_who_knows_nothing_of_persistence_means_the_same_by_the_defaults() -> None:
    older = {"maxmemory-policy": "noeviction", "namespaces": "[]"}
    assert digest_of(older) == Settings().digest
    assert encode(Settings(), 1).keys() == {"leader", "eviction", "namespaces"}
    assert [settings.mode for settings in (Settings(), Settings(save="1 1"), Settings(append_only=True), KEPT)] == [
        "none", "snapshot", "aof", "hybrid",
    ]  # fmt: skip


def test_different_settings_have_different_digests() -> None:
    several = [Settings(), MANY, Settings("allkeys-lru"), Settings("noeviction", (Namespace(b"a"),)),
               Settings("noeviction", (Namespace(b"a", 1024),)), KEPT, Settings(save="300 1"),
               Settings(append_only=True), Settings(append_only=True, fsync="no")]  # fmt: skip
    assert len({settings.digest for settings in several}) == len(several)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "must be an object"),
        ({"eviction": "noeviction", "namespaces": []}, "leader"),
        ({"leader": True, "eviction": "noeviction", "namespaces": []}, "leader"),
        ({"leader": 1, "eviction": "lru", "namespaces": []}, "eviction: must be one of noeviction, allkeys-lru"),
        ({"leader": 1, "eviction": ["lru"], "namespaces": []}, "eviction"),
        ({"leader": 1, "eviction": "noeviction"}, "namespaces: null is not allowed; must be a list"),
        ({"leader": 1, "eviction": "noeviction", "namespaces": [{"prefix": ""}]}, "namespaces[0].prefix"),
        ({"leader": 1, "eviction": "noeviction", "namespaces": [], "save": 300}, "save: must be a text"),
        ({"leader": 1, "eviction": "noeviction", "namespaces": [], "appendonly": True}, "appendonly: must be a text"),
        (
            {"leader": 1, "eviction": "noeviction", "namespaces": [], "appendfsync": "now"},
            "appendfsync: must be one of always, everysec, no",
        ),
    ],
)
def test_what_is_no_settings_is_refused_with_its_field(document: Any, complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        decode(document)
    assert complaint in str(raised.value)
