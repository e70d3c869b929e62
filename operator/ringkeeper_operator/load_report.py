"""What a load of a dump came to, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringkeeper_operator.runtime.importing import Import


@dataclass(slots=True)
class Outcome:
    """How it ended."""

    file: str
    cluster: str
    dry: bool
    load: Import
    began_at: int
    """In the dump, by bytes: more than 0 if an earlier load was gone on with."""
    restarted: list[str]
    """Nodes that were started anew meanwhile."""
    error: str = ""
    code: int = 0

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self.load.figures)
        seconds = figures.pop("seconds")
        return {
            "file": self.file,
            "cluster": self.cluster,
            "dryRun": self.dry,
            "complete": self.load.complete,
            **figures,
            "seconds": round(seconds, 3),
            "keysPerSecond": round(figures["loaded"] / seconds) if seconds and not self.dry else 0,
            "wentOnAt": self.began_at,
            "at": self.load.record.place.at,
            "size": self.load.record.dump["bytes"],
            "nodes": dict(sorted(self.load.by_node.items())),
            "restarted": self.restarted,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        figures = self.load.figures
        what = "would be loaded" if self.dry else "loaded"
        speed = f", {figures.loaded / figures.seconds:,.0f} keys/s" if figures.seconds and not self.dry else ""
        lines = [f"{figures.loaded:,} keys {what} ({figures.bytes:,} bytes as they are sent{speed})"]
        for count, text in (
            (figures.existing, "left as they are in the cluster"),
            (figures.expired, "left out: their time to expire has come"),
            (figures.unwanted, "left out: of another database, or not like the pattern"),
            (figures.unsupported, "left out: not supported"),
            (figures.empty, "left out: collections without elements"),
        ):
            if count:
                lines.append(f"  {count:,} {text}")
        lines += [f"  {count:,} at {node}" for node, count in sorted(self.load.by_node.items())]
        return lines
