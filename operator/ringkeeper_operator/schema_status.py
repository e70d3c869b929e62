"""The `status` of a `CacheCluster`: what is told of it, field by field."""

from __future__ import annotations

from ringkeeper_operator.schema_parts import LARGEST, boolean, fields, integer, items, text

CONDITION = fields(
    "One aspect of the state.",
    {
        "type": text("The aspect.", longest=316),
        "status": text("Whether it holds.", longest=10, enum=["True", "False", "Unknown"]),
        "reason": text("Why, in one CamelCase word.", longest=1024),
        "message": text("Why, for people.", longest=32768),
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when."},
        "observedGeneration": integer("Of the spec that it speaks of.", 0, LARGEST, format="int64"),
    },
    required=["type", "status", "reason", "message", "lastTransitionTime"],
)

REPLICA_STATUS = fields(
    "One replica.",
    {
        "name": text("Its name."),
        "state": text("`online` when it follows its master; else what it does instead.", longest=64),
        "link": text("To its master: `connected`, `sync`, `connecting`, `down` or `none`.", longest=20),
        "voter": boolean("Whether it counts: its word is needed to appoint a master, and it may be appointed."),
        "lagBytes": integer("What it has not heard yet of what its master wrote.", 0, LARGEST, format="int64"),
        "lagSeconds": integer("For how long it has heard nothing.", 0, LARGEST, format="int64"),
    },
)

FAILOVER_STATUS = fields(
    "One change of a master.",
    {
        "shard": integer("Of which shard.", 0, 999, format="int32"),
        "time": {"type": "string", "format": "date-time", "description": "When the new master was appointed."},
        "cause": text("Why.", longest=1024),
        "from": text("The master before."),
        "to": text("The master since."),
        "term": integer("The new master's term.", 0, LARGEST, format="int64"),
        "detectionMilliseconds": integer("From the last heartbeat to the suspicion.", 0, LARGEST, format="int64"),
        "electionMilliseconds": integer("From the suspicion to the appointment.", 0, LARGEST, format="int64"),
        "totalMilliseconds": integer("From the last heartbeat until the new master had its appointment.", 0, LARGEST,
                                     format="int64"),
        "lostBytes": integer("Written to the former master and not known to the new one; once the former one has "
                             "come back and told.", 0, LARGEST, format="int64"),
        "lostWrites": integer("The same as a number of commands.", 0, LARGEST, format="int64"),
    },
)  # fmt: skip

SHARD_STATUS = fields(
    "One shard.",
    {
        "index": integer("Its number.", 0, 999, format="int32"),
        "master": text("The name of its master."),
        "term": integer("How many masters were appointed to it.", 0, LARGEST, format="int64"),
        "slots": integer("Slots that it owns.", 0, 16384, format="int32"),
        "keys": integer("Keys that its master holds.", 0, LARGEST, format="int64"),
        "state": text("`online` when its slots are served; else what its master does instead.", longest=64),
        "replicas": items("Its replicas.", REPLICA_STATUS, 16),
        "loadedPercent": integer("How far its master is while it is `loading` its data.", 0, 100, format="int32"),
    },
)

TRANSFER = fields(
    "Slots that are to go from one shard to another.",
    {
        "from": integer("The shard that has them.", 0, 999, format="int32"),
        "to": integer("The shard that gets them.", 0, 999, format="int32"),
        "slots": integer("How many.", 0, 16384, format="int32"),
    },
)

REBALANCE = fields(
    "Slots that move, are to move, or moved last.",
    {
        "phase": text(
            "`Planned` before it begins, `Waiting` for its window, `Moving`, `Blocked`, `Paused`, `DryRun`, or `Done`.",
            longest=20,
        ),
        "from": integer("Shards that owned slots when it began.", 0, 1000, format="int32"),
        "to": integer("Shards that own them in the end.", 0, 1000, format="int32"),
        "weighted": boolean("Whether they get shares by `weights`; else these are even."),
        "strategy": text("`load` if they move because some shards are busier than others.", longest=20),
        "slots": integer("To move in all.", 0, 16384, format="int32"),
        "slotsMoved": integer("Of these, moved.", 0, 16384, format="int32"),
        "bytes": integer("What all of these slots hold, about.", 0, LARGEST, format="int64"),
        "bytesMoved": integer("Of these, moved.", 0, LARGEST, format="int64"),
        "bytesPerSecond": integer("How fast, on the average so far.", 0, LARGEST, format="int64"),
        "secondsLeft": integer("At that rate.", 0, LARGEST, format="int64"),
        "startedAt": {"type": "string", "format": "date-time", "description": "When its first slot began to move."},
        "endedAt": {"type": "string", "format": "date-time", "description": "When it was done."},
        "blocked": text("Why nothing moves, although it should, or when its window opens.", longest=1024),
        "transfers": items("What is left, the largest first.", TRANSFER, 16),
    },
)

STATUS = fields(
    "What is there, as the operator saw it last.",
    {
        "observedGeneration": integer("Of the spec that was last acted on.", 0, LARGEST, format="int64"),
        "conditions": items(
            "`Ready`, `Progressing`, `Degraded`, `ConfigurationWarning`; with persistence also `Persisting`, and "
            "`Rebalancing` once slots have moved.",
            CONDITION,
            16,
        )
        | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        "epoch": integer("Version of the committed topology.", 0, LARGEST, format="int64"),
        "shards": integer("Number of shards in the topology.", 0, 1000, format="int32"),
        "readyNodes": text("Nodes that serve, of those that should.", longest=16),
        "slotsServed": integer("Slots whose master serves them; 16384 when all is well.", 0, 16384, format="int32"),
        "shardStatuses": items("Every shard of the topology.", SHARD_STATUS, 1000),
        "replicas": integer("Replicas in the topology.", 0, 16000, format="int32"),
        "rebalance": REBALANCE,
        "failovers": items("The last changes of masters, the latest first.", FAILOVER_STATUS, 10),
        "volumeSize": text("What each node's volume has at least.", longest=20),
        "selector": text("Label selector of one pod a shard, for whoever scales the shards.", longest=512),
        "reason": text("What is being done or waited for, in one word.", longest=1024),
        "message": text("The same for people.", longest=32768),
    },
)
