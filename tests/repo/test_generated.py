"""What `make generate` writes is what the code says now."""

import pathlib
from collections.abc import Callable

import pytest
from compat import coverage

from ringkeeper.cluster import migration_page, rules_page
from ringkeeper.commands import reference
from ringkeeper.server import metrics_page
from ringkeeper_operator import schema, schema_docs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "render"),
    [
        ("crds/cacheclusters.ringkeeper.dev.yaml", schema.render_crd),
        ("charts/ringkeeper/files/cacheclusters.ringkeeper.dev.yaml", schema.render_crd),
        ("docs/commands.md", reference.render),
        ("docs/coverage.md", coverage.render),
        ("docs/failover-rules.md", rules_page.render),
        ("docs/manifest.md", schema_docs.render),
        ("docs/metrics.md", metrics_page.render),
        ("docs/migration-rules.md", migration_page.render),
    ],
)
def test_the_file_is_current(path: str, render: Callable[[], str]) -> None:
    assert (ROOT / path).read_text() == render(), f"{path} is out of date: run `make generate`"
