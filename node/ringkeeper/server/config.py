"""The node's configuration: redis.conf directives from the command line and a file, and CONFIG GET and SET on them.

    ringkeeper-server [FILE] [--directive value …] …

As with Redis, a directive on the command line wins over one in the file, and the later over the earlier. Values are
kept as their canonical text (`100mb` as `104857600`), which is what CONFIG GET answers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ringkeeper.commands.glob import compile_glob
from ringkeeper.resp.inline import split_inline
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.directives import DIRECTIVES, Directive
from ringkeeper.server.files import write_durably
from ringkeeper.store import namespace_text
from ringkeeper.store.events import canonical_events

UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}

INCLUDE_DEPTH = 16
SECONDS = Directive("", "number", "", "")


class ConfigError(Exception):
    """A configuration that cannot be used: says what, where and what to do, in one line."""


class Config:
    """Values by directive. `get` answers texts; `number`, `flag` and `text` are for the server itself."""

    def __init__(self) -> None:
        self.values = {name: directive.default for name, directive in DIRECTIVES.items()}
        self.file: Path | None = None
        self.given: set[str] = set()
        """Directives that the command line, the file or CONFIG SET named."""
        self.users: list[tuple[str, list[str]]] = []
        """Lines `user NAME rule …`, without their first word, and where each stands."""
        self.user_lines: Callable[[], list[bytes]] = list
        """The users as CONFIG REWRITE writes them; none if they are kept elsewhere."""
        self.on_change: Callable[[frozenset[str]], None] = lambda _: None
        """Called behind CONFIG SET with the names that changed."""
        self.on_reset: Callable[[], None] = lambda: None

    def number(self, name: str) -> int:
        return int(self.values[name])

    def flag(self, name: str) -> bool:
        return self.values[name] == "yes"

    def text(self, name: str) -> str:
        return self.values[name]

    def put(self, name: str, words: Sequence[str], where: str) -> None:
        """Take a directive at start; raises `ConfigError`."""
        if name.lower() == "user":
            self.declare_user(list(words), where)
            return
        directive = DIRECTIVES.get(name.lower())
        if directive is None:
            raise ConfigError(f"{where}: unknown directive '{name}'{nearest(name)}")
        try:
            self.values[directive.name] = canonical(directive, words, self.values[directive.name])
        except ValueError as error:
            raise ConfigError(f"{where}: {directive.name}: {error}") from None
        self.given.add(directive.name)

    def declare_user(self, words: list[str], where: str) -> None:
        if any(words[:1] == other[:1] for _, other in self.users):
            raise ConfigError(f"{where}: user {' '.join(words[:1])}: declared before; a user can be declared once")
        self.users.append((where, words))

    # commands.context.Settings

    def get(self, patterns: Sequence[str]) -> Mapping[str, str]:
        wanted = [compile_glob(pattern.lower().encode()) for pattern in patterns]
        found = {
            name: value
            for name, value in self.values.items()
            if any(pattern.match(name.encode()) for pattern in wanted)
        }
        if "dir" in found:
            found["dir"] = str(Path(found["dir"]).resolve())
        return found

    def set(self, changes: Sequence[tuple[str, str]]) -> None:
        new: dict[str, str] = {}
        for given, value in changes:
            name = given.lower()
            directive = DIRECTIVES.get(name)
            if directive is None:
                raise ReplyError(f"ERR Unknown option or number of arguments for CONFIG SET - '{given}'")
            if name in new:
                raise failed(given, "duplicate parameter")
            if not directive.mutable:
                raise failed(given, "can't set immutable config")
            if directive.protected:
                raise failed(given, "can't set protected config")
            try:
                words = value.split() if directive.kind == "words" else [value]
                new[name] = canonical(directive, words, self.values[name])
            except ValueError as error:
                raise failed(given, str(error)) from None
        changed = frozenset(name for name, value in new.items() if self.values[name] != value)
        self.values.update(new)
        self.given.update(new)
        self.on_change(changed)

    def rewrite(self) -> None:
        if self.file is None:
            raise ReplyError("ERR The server is running without a config file")
        try:
            rewrite_file(self.file, {name: self.values[name] for name in self.given}, self.user_lines())
        except OSError as error:
            raise ReplyError(f"ERR Rewriting config file: {error.strerror}") from None

    def reset_statistics(self) -> None:
        self.on_reset()


def failed(name: str, why: str) -> ReplyError:
    return ReplyError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")


def canonical(directive: Directive, words: Sequence[str], present: str) -> str:
    """A value's canonical text; raises `ValueError` with Redis's words for what is wrong.

    `present` is the value until now, of which a directive with several parts keeps those that are not named.
    """
    if directive.kind == "words":
        value = " ".join(word for word in words if word)
    elif len(words) != 1:
        raise ValueError("wrong number of arguments")
    else:
        value = words[0]
    if directive.kind == "yes-no":
        value = value.lower()
        if value not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
    elif directive.kind == "choice":
        value = value.lower()
        if value not in directive.choices:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(directive.choices)}")
    elif directive.kind == "events":
        value = canonical_events(value)
    elif directive.kind == "namespaces":
        value = namespace_text.canonical(value)
    elif directive.kind == "name":
        if "/" in value or value in ("", ".", ".."):
            raise ValueError(f"{directive.name} can't be a path, just a filename")
    elif directive.kind in ("number", "memory"):
        value = str(_number(directive, value))
    if directive.only and value not in directive.only:
        raise ValueError(directive.instead)
    if directive.name == "client-output-buffer-limit":
        value = _output_limits(value, present)
    elif directive.name == "save":
        value = _save_rules(words)
    elif directive.name == "latency-tracking-info-percentiles":
        value = _percentiles(words)
    return value


def _number(directive: Directive, value: str) -> int:
    if directive.kind == "memory":
        match = re.fullmatch(r"(\d{1,19})([a-z]{0,2})", value.lower())
        if match is None or match[2] not in UNITS:
            raise ValueError("argument must be a memory value")
        number = int(match[1]) * UNITS[match[2]]
    else:
        if not re.fullmatch(r"-?\d{1,19}", value):
            raise ValueError("argument couldn't be parsed into an integer")
        number = int(value)
    if not directive.minimum <= number <= directive.maximum:
        raise ValueError(f"argument must be between {directive.minimum} and {directive.maximum} inclusive")
    return number


def _output_limits(value: str, present: str) -> str:
    """`CLASS HARD SOFT SECONDS …`, with the classes that are not named as they are at present."""
    words = value.split()
    kept = present.split()
    limits = {kept[i]: " ".join(kept[i + 1 : i + 4]) for i in range(0, len(kept), 4)}
    if len(words) % 4:
        raise ValueError("Wrong number of arguments in buffer limit configuration.")
    memory = Directive("", "memory", "", "", maximum=2**63 - 1)
    for name, hard, soft, seconds in zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True):
        key = "slave" if name.lower() == "replica" else name.lower()
        if key not in limits:
            raise ValueError("Invalid client class specified in buffer limit configuration.")
        try:
            limit = f"{_number(memory, hard)} {_number(memory, soft)} {_number(SECONDS, seconds)}"
        except ValueError:
            raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.") from None
        limits[key] = limit
    return " ".join(f"{name} {limit}" for name, limit in limits.items())


def _save_rules(words: Sequence[str]) -> str:
    numbers = [word for text in words for word in text.split()]
    if len(numbers) % 2 or any(not re.fullmatch(r"\d{1,9}", word) for word in numbers):
        raise ValueError("Invalid save parameters")
    if any(int(seconds) < 1 for seconds in numbers[::2]):
        raise ValueError("Invalid save parameters")
    return " ".join(str(int(word)) for word in numbers)


def _percentiles(words: Sequence[str]) -> str:
    try:
        percentages = [float(word) for word in words if word]
    except ValueError:
        raise ValueError("Invalid latency-tracking-info-percentiles parameters") from None
    if any(not 0 <= percentage <= 100 for percentage in percentages):
        raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
    return " ".join(percentage_text(percentage) for percentage in percentages)


def percentage_text(percentage: float) -> str:
    return f"{percentage:.6f}".rstrip("0").rstrip(".")


def nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower().partition("=")[0], DIRECTIVES, n=1)
    return f" (did you mean '{close[0]}'?)" if close else " (--help lists them all)"


# Reading


def read_arguments(argv: Sequence[str]) -> Config:
    """The configuration that a command line means; raises `ConfigError`."""
    config = Config()
    rest = list(argv)
    if rest and not rest[0].startswith("-"):
        config.file = Path(rest.pop(0)).resolve()
        read_file(config, config.file)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--") or len(option) < 3:
            raise ConfigError(f"{option!r} is no directive: write --name value, and a file before all directives")
        words = []
        while rest and not rest[0].startswith("--"):
            words.append(rest.pop(0))
        config.put(option[2:], words, option)
    return config


def read_file(config: Config, path: Path, depth: int = 0) -> None:
    """Take every directive of a file, and of those that it includes."""
    if depth > INCLUDE_DEPTH:
        raise ConfigError(f"{path}: files include each other more than {INCLUDE_DEPTH} deep")
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = split_words(line)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
        if words[0].lower() == "include":
            for name in words[1:]:
                read_file(config, Path(name), depth + 1)
        else:
            config.put(words[0], words[1:], where)


def split_words(line: str) -> list[str]:
    """By Redis's rules of quoting, which are those of inline commands. Raises `ValueError`."""
    words = split_inline(line.encode("utf-8", "surrogateescape"))
    if words is None:
        raise ValueError("unbalanced quotes in configuration line")
    return [word.decode("utf-8", "surrogateescape") for word in words]


# Writing


def rewrite_file(path: Path, values: Mapping[str, str], users: Sequence[bytes]) -> None:
    """CONFIG REWRITE: each value in the place of its first line, comments kept, new ones at the end; so the users."""
    written: set[str] = set()
    lines: list[str] = []
    new_users = [line.decode("utf-8", "surrogateescape") for line in users]
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        name = (line.split() or [""])[0].lower()
        if name == "user":
            lines += new_users[:1]
            del new_users[:1]
        elif name not in values:
            lines.append(line)
        elif name not in written:
            written.add(name)
            lines.append(f"{name} {quoted(name, values[name])}")
    missing = [f"{name} {quoted(name, values[name])}" for name in DIRECTIVES if name in values and name not in written]
    if missing or new_users:
        if (marker := "# Generated by CONFIG REWRITE") not in lines:
            lines.append(marker)
        lines += missing + new_users
    write_durably(path, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


def quoted(name: str, value: str) -> str:
    if value and (DIRECTIVES[name].kind == "words" or re.fullmatch(r"[\w./:@*+-]+", value)):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def describe() -> Iterable[str]:
    """A line for each directive, for --help."""
    for directive in DIRECTIVES.values():
        default = f" [{directive.default}]" if directive.default else ""
        yield f"  --{directive.name:<30} {directive.help}{default}"
