"""YAML documents as plain values, read as Kubernetes reads them, with errors that name line and column.

Stricter than PyYAML where silence would hide a mistake (a key that stands twice), and plainer where Kubernetes is (a
date stays a text). Bounded: a manifest comes from a person, but an alias bomb must not take the memory.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

LONGEST_TEXT = 4 * 1024 * 1024
MOST_VALUES = 200_000


class YamlProblem(Exception):
    """What is wrong, with where it is: `LINE:COLUMN: …`."""


class _Loader(yaml.SafeLoader):
    """Safe, and without dates and numbers to the base of 60: a time of day stays a text."""


BASE_60 = ("tag:yaml.org,2002:str", re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$"))
_Loader.yaml_implicit_resolvers = {
    letter: [BASE_60, *((tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(text: str) -> list[Any]:
    """The documents of a stream, empty ones left out; raises `YamlProblem`."""
    if len(text) > LONGEST_TEXT:
        raise YamlProblem(f"too long: {len(text)} characters, at most {LONGEST_TEXT} are read")
    try:
        loader = _Loader(text)
        reader = _Reader(loader)
        documents = []
        while (node := loader.get_node() if loader.check_node() else None) is not None:
            documents.append(reader.value(node))
    except yaml.MarkedYAMLError as error:
        what = " ".join(filter(None, (error.context, error.problem)))
        raise YamlProblem(f"{_place(error.problem_mark or error.context_mark)}not YAML: {what}") from None
    except yaml.YAMLError as error:
        raise YamlProblem(f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlProblem("nested too deeply") from None
    return [document for document in documents if document is not None]


def _place(mark: yaml.Mark | None) -> str:
    return f"{mark.line + 1}:{mark.column + 1}: " if mark is not None else ""


class _Reader:
    def __init__(self, loader: _Loader) -> None:
        self.loader = loader
        self.count = 0

    def value(self, node: yaml.Node) -> Any:
        self.count += 1
        if self.count > MOST_VALUES:
            raise YamlProblem(f"{_place(node.start_mark)}too many values, at most {MOST_VALUES} are read")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            what = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            raise YamlProblem(f"{_place(node.start_mark)}{node.value!r:.60} cannot be read: {what}") from None
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise YamlProblem(
                    f"{_place(key_node.start_mark)}merge keys (<<) are not supported; write the fields out"
                )
            if not isinstance(key, str):
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key)
            if key in values:
                raise YamlProblem(f"{_place(key_node.start_mark)}the key {key!r} stands twice; keep one of them")
            values[key] = self.value(value_node)
        return values
