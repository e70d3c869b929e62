"""The field `rebalance.window` of a `CacheCluster`: the hours in which slots begin to move."""

from __future__ import annotations

from ringkeeper_operator.schema_parts import fields, items, text

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DEFAULT_ZONE = "Etc/UTC"

START = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
END = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
ZONE = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"

WINDOW_PATTERN_MEANINGS = {
    START: "a time of day from 00:00 to 23:59",
    END: "a time of day from 00:00 to 24:00",
    ZONE: "an IANA time zone such as Europe/Berlin or Etc/UTC",
}

ENDS_RULE = {
    "rule": "self.start != self.end",
    "message": "start and end of rebalance.window must differ; a whole day is from 00:00 to 24:00",
}
ZONE_RULE = {
    "rule": "self != 'Local' && timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0",
    "message": f"must be {WINDOW_PATTERN_MEANINGS[ZONE]}",
}
"""An API server refuses a zone that it does not know when it evaluates this."""

WINDOW = fields(
    "Only in these hours slots begin to move, whatever they move for; at any time, if left out. What is under way when "
    "they end is brought to its end.",
    {
        "start": text("When it opens, such as `02:00`.", longest=5,
                      pattern=START),
        "end": text("When it closes; on the next day, if that is not after `start`.", longest=5, pattern=END),
        "timeZone": text("Whose clock counts, by its name in the IANA database.", longest=64, pattern=ZONE,
                         default=DEFAULT_ZONE, **{"x-kubernetes-validations": [ZONE_RULE]}),
        "days": items("Days on which it opens, `Mon` to `Sun`; every day, if left out.",
                      {"type": "string", "maxLength": 3, "enum": list(DAYS)}, len(DAYS))
        | {"minItems": 1, "x-kubernetes-list-type": "set"},
    },
    required=["start", "end"],
    **{"x-kubernetes-validations": [ENDS_RULE]},
)  # fmt: skip
