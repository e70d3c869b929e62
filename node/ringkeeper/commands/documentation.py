"""What COMMAND DOCS tells beyond the command table: what words each command takes, and what replaced it.

A word of the notation, described in `notation`, is a line's; what does not fit goes on, indented, in the next.
`tests/commands/test_documentation.py` holds this against the table's arities and against a real Valkey.
"""

from __future__ import annotations

from functools import cache

from ringkeeper.commands.notation import Argument, parse

SYSTEM = frozenset({"debug", "restore-asking"})
"""Not meant for applications."""

DEPRECATED = {
    "brpoplpush": ("6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`"),
    "cluster|slots": ("7.0.0", "`CLUSTER SHARDS`"),
    "cluster|slaves": ("5.0.0", "`CLUSTER REPLICAS`"),
    "getset": ("6.2.0", "`SET` with `GET`"),
    "hmset": ("4.0.0", "`HSET` with several fields"),
    "psetex": ("2.6.12", "`SET` with `PX`"),
    "quit": ("7.2.0", "closing the connection"),
    "rpoplpush": ("6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"),
    "setex": ("2.6.12", "`SET` with `EX`"),
    "setnx": ("2.6.12", "`SET` with `NX`"),
    "slaveof": ("5.0.0", "`REPLICAOF`"),
    "substr": ("2.0.0", "`GETRANGE`"),
    "zrangebylex": ("6.2.0", "`ZRANGE` with `BYLEX`"),
    "zrangebyscore": ("6.2.0", "`ZRANGE` with `BYSCORE`"),
    "zrevrange": ("6.2.0", "`ZRANGE` with `REV`"),
    "zrevrangebylex": ("6.2.0", "`ZRANGE` with `REV` and `BYLEX`"),
    "zrevrangebyscore": ("6.2.0", "`ZRANGE` with `REV` and `BYSCORE`"),
}
"""Command -> since which version, and what to use instead."""

ARGUMENTS = """
acl|cat category?
acl|deluser username+
acl|dryrun username command arg?+
acl|genpass bits:integer?
acl|getuser username
acl|log operation?(count:integer|RESET)
acl|setuser username rule?+
append key#0 value
auth username?@6.0.0 password
bgsave operation?(SCHEDULE@3.2.2|CANCEL@8.1.0)
bitcount key#0 range?{start:integer end-unit-block?{end:integer unit?@7.0.0(BYTE|BIT)}}
bitop operation(AND|OR|XOR|NOT) destkey#0 key#1+
bitpos key#0 bit:integer range?{start:integer end-unit-block?{end:integer unit?@7.0.0(BYTE|BIT)}}
blmove source#0 destination#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double
blmpop timeout:double numkeys:integer key#0+ where(LEFT|RIGHT) COUNT=count:integer?
blpop key#0+ timeout:double
brpop key#0+ timeout:double
brpoplpush source#0 destination#1 timeout:double
bzmpop timeout:double numkeys:integer key#0+ where(MIN|MAX) COUNT=count:integer?
bzpopmax key#0+ timeout:double
bzpopmin key#0+ timeout:double
client|caching mode(YES|NO)
client|kill filter(old-format~ip:port!2.8.12|new-format+(ID=client-id:integer?+@2.8.12|
    TYPE=client-type?@2.8.12(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)|USER=username?|ADDR=addr~ip:port?|
    LADDR=laddr~ip:port?@6.2.0|MAXAGE=maxage:integer?|SKIPME=skipme?(YES|NO)))
client|list TYPE=client-type?@5.0.0(NORMAL|MASTER|REPLICA|PUBSUB) ID=client-id:integer?+@6.2.0
client|no-evict enabled(ON|OFF)
client|no-touch enabled(ON|OFF)
client|pause timeout:integer mode?@6.2.0(WRITE|ALL)
client|reply action(ON|OFF|SKIP)
client|setinfo attr(LIB-NAME=libname|LIB-VER=libver)
client|setname connection-name
client|tracking status(ON|OFF) REDIRECT=client-id:integer? PREFIX=prefix?++ BCAST? OPTIN? OPTOUT? NOLOOP?
client|unblock client-id:integer unblock-type?(TIMEOUT|ERROR)
cluster|addslots slot:integer+
cluster|addslotsrange range+{start-slot:integer end-slot:integer}
cluster|count-failure-reports node-id
cluster|countkeysinslot slot:integer
cluster|delslots slot:integer+
cluster|delslotsrange range+{start-slot:integer end-slot:integer}
cluster|failover options?(FORCE|TAKEOVER)
cluster|forget node-id
cluster|getkeysinslot slot:integer count:integer
cluster|keyslot key
cluster|meet ip port:integer cluster-bus-port:integer?@4.0.0
cluster|replicas node-id
cluster|replicate node-id
cluster|reset reset-type?(HARD|SOFT)
cluster|set-config-epoch config-epoch:integer
cluster|setslot slot:integer subcommand(IMPORTING=importing~node-id|MIGRATING=migrating~node-id|NODE=node~node-id|
    STABLE)
cluster|slaves node-id
cluster|slot-stats filter(SLOTSRANGE=slotsrange{start-slot:integer end-slot:integer}|
    ORDERBY=orderby{metric LIMIT=limit:integer? order?(ASC|DESC)})
command|docs command-name?+
command|getkeys command arg?+
command|getkeysandflags command arg?+
command|info command-name?+
command|list FILTERBY=filterby?(MODULE=module-name|ACLCAT=category|PATTERN=pattern:pattern)
config|get parameter+
config|set data+{parameter value}
copy source#0 destination#1 DB=destination-db:integer? REPLACE?
decr key#0
decrby key#0 decrement:integer
del key#0+
dump key#0
echo message
exists key#0+
expire key#0 seconds:integer condition?@7.0.0(NX|XX|GT|LT)
expireat key#0 unix-time-seconds:unix-time condition?@7.0.0(NX|XX|GT|LT)
expiretime key#0
failover TO=target?{host port:integer FORCE?} ABORT? TIMEOUT=milliseconds:integer?
flushall flush-type?(ASYNC@4.0.0|SYNC@6.2.0)
flushdb flush-type?(ASYNC@4.0.0|SYNC@6.2.0)
get key#0
getbit key#0 offset:integer
getdel key#0
getex key#0 expiration?(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|
    PXAT=unix-time-milliseconds:unix-time|PERSIST)
getrange key#0 start:integer end:integer
getset key#0 value
hdel key#0 field+
hello arguments?{protover:integer AUTH=auth?{username password} SETNAME=clientname?}
hexists key#0 field
hexpire key#0 seconds:integer condition?(NX|XX|GT|LT) FIELDS=fields{numfields:integer field+}
hexpireat key#0 unix-time-seconds:integer condition?(NX|XX|GT|LT) FIELDS=fields{numfields:integer field+}
hexpiretime key#0 FIELDS=fields{numfields:integer field+}
hget key#0 field
hgetall key#0
hgetdel key#0 FIELDS=fields{numfields:integer field+}
hgetex key#0 expiration?(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|
    PXAT=unix-time-milliseconds:unix-time|PERSIST) FIELDS=fields{numfields:integer field+}
hincrby key#0 field increment:integer
hincrbyfloat key#0 field increment:double
hkeys key#0
hlen key#0
hmget key#0 field+
hmset key#0 data+{field value}
hpersist key#0 FIELDS=fields{numfields:integer field+}
hpexpire key#0 milliseconds:integer condition?(NX|XX|GT|LT) FIELDS=fields{numfields:integer field+}
hpexpireat key#0 unix-time-milliseconds:integer condition?(NX|XX|GT|LT) FIELDS=fields{numfields:integer field+}
hpexpiretime key#0 FIELDS=fields{numfields:integer field+}
hpttl key#0 FIELDS=fields{numfields:integer field+}
hrandfield key#0 options?{count:integer WITHVALUES?}
hscan key#0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer? NOVALUES?
hset key#0 data+{field value}
hsetex key#0 key-condition?(NX|XX) fields-condition?(FNX|FXX)
    expiration?(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:unix-time|
    PXAT=unix-time-milliseconds:unix-time|KEEPTTL) FIELDS=fields{numfields:integer data+{field value}}
hsetnx key#0 field value
hstrlen key#0 field
httl key#0 FIELDS=fields{numfields:integer field+}
hvals key#0
incr key#0
incrby key#0 increment:integer
incrbyfloat key#0 increment:double
info section?+
keys pattern:pattern
latency|graph event
latency|histogram command?+
latency|history event
latency|reset event?+
lcs key1#0 key2#0 LEN? IDX? MINMATCHLEN=min-match-len:integer? WITHMATCHLEN?
lindex key#0 index:integer
linsert key#0 where(BEFORE|AFTER) pivot element
llen key#0
lmove source#0 destination#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)
lmpop numkeys:integer key#0+ where(LEFT|RIGHT) COUNT=count:integer?
lolwut VERSION=version:integer?
lpop key#0 count:integer?@6.2.0
lpos key#0 element RANK=rank:integer? COUNT=num-matches:integer? MAXLEN=len:integer?
lpush key#0 element+
lpushx key#0 element+
lrange key#0 start:integer stop:integer
lrem key#0 count:integer element
lset key#0 index:integer element
ltrim key#0 start:integer stop:integer
memory|usage key#0 SAMPLES=count:integer?
mget key#0+
move key#0 db:integer
mset data+{key#0 value}
msetnx data+{key#0 value}
object|created key#0
object|encoding key#0
object|freq key#0
object|idletime key#0
object|refcount key#0
persist key#0
pexpire key#0 milliseconds:integer condition?@7.0.0(NX|XX|GT|LT)
pexpireat key#0 unix-time-milliseconds:unix-time condition?@7.0.0(NX|XX|GT|LT)
pexpiretime key#0
ping message?
psetex key#0 milliseconds:integer value
psubscribe pattern:pattern+
psync replicationid offset:integer
pttl key#0
publish channel message
pubsub|channels pattern:pattern?
pubsub|numsub channel?+
pubsub|shardchannels pattern:pattern?
pubsub|shardnumsub shardchannel?+
punsubscribe pattern:pattern?+
rename key#0 newkey#1
renamenx key#0 newkey#1
replicaof args(host-port{host port:integer}|no-one{NO ONE})
restore key#0 ttl:integer serialized-value REPLACE?@3.0.0 ABSTTL?@5.0.0 IDLETIME=seconds:integer?@5.0.0
    FREQ=frequency:integer?@5.0.0
restore-asking key#0 ttl:integer serialized-value REPLACE?@3.0.0 ABSTTL?@5.0.0 IDLETIME=seconds:integer?@5.0.0
    FREQ=frequency:integer?@5.0.0
rpop key#0 count:integer?@6.2.0
rpoplpush source#0 destination#1
rpush key#0 element+
rpushx key#0 element+
sadd key#0 member+
scan cursor:integer MATCH=pattern:pattern? COUNT=count:integer? TYPE=type?@6.0.0
scard key#0
sdiff key#0+
sdiffstore destination#0 key#1+
select index:integer
set key#0 value condition?(NX@2.6.12|XX@2.6.12) GET?@6.2.0 expiration?(EX=seconds:integer@2.6.12|
    PX=milliseconds:integer@2.6.12|EXAT=unix-time-seconds:unix-time@6.2.0|
    PXAT=unix-time-milliseconds:unix-time@6.2.0|KEEPTTL@6.0.0)
setbit key#0 offset:integer value:integer
setex key#0 seconds:integer value
setnx key#0 value
setrange key#0 offset:integer value
shutdown abort-selector?(save-selector-block{save-selector?(NOSAVE|SAVE) NOW?@7.0.0 FORCE?@7.0.0}|ABORT@7.0.0)
sinter key#0+
sintercard numkeys:integer key#0+ LIMIT=limit:integer?
sinterstore destination#0 key#1+
sismember key#0 member
slaveof args(host-port{host port:integer}|no-one{NO ONE})
slowlog|get count:integer?
smembers key#0
smismember key#0 member+
smove source#0 destination#1 member
sort key#0 BY=by-pattern:pattern#1~pattern? LIMIT=limit?{offset:integer count:integer}
    GET=get-pattern:pattern#1~pattern?++ order?(ASC|DESC) ALPHA/sorting? STORE=destination#2?
sort_ro key#0 BY=by-pattern:pattern#1~pattern? LIMIT=limit?{offset:integer count:integer}
    GET=get-pattern:pattern#1~pattern?++ order?(ASC|DESC) ALPHA/sorting?
spop key#0 count:integer?@3.2.0
spublish shardchannel message
srandmember key#0 count:integer?@2.6.0
srem key#0 member+
sscan key#0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer?
ssubscribe shardchannel+
strlen key#0
subscribe channel+
substr key#0 start:integer end:integer
sunion key#0+
sunionstore destination#0 key#1+
sunsubscribe shardchannel?+
swapdb index1:integer index2:integer
touch key#0+
ttl key#0
type key#0
unlink key#0+
unsubscribe channel?+
wait numreplicas:integer timeout:integer
waitaof numlocal:integer numreplicas:integer timeout:integer
watch key#0+
zadd key#0 condition?@3.0.2(NX|XX) comparison?@6.2.0(GT|LT) CH/change?@3.0.2 INCR/increment?@3.0.2
    data+{score:double member}
zcard key#0
zcount key#0 min:double max:double
zdiff numkeys:integer key#0+ WITHSCORES?
zdiffstore destination#0 numkeys:integer key#1+
zincrby key#0 increment:integer member
zinter numkeys:integer key#0+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate?(SUM|MIN|MAX) WITHSCORES?
zintercard numkeys:integer key#0+ LIMIT=limit:integer?
zinterstore destination#0 numkeys:integer key#1+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate?(SUM|MIN|MAX)
zlexcount key#0 min max
zmpop numkeys:integer key#0+ where(MIN|MAX) COUNT=count:integer?
zmscore key#0 member+
zpopmax key#0 count:integer?
zpopmin key#0 count:integer?
zrandmember key#0 options?{count:integer WITHSCORES?}
zrange key#0 start stop sortby?@6.2.0(BYSCORE|BYLEX) REV?@6.2.0 LIMIT=limit?@6.2.0{offset:integer count:integer}
    WITHSCORES?
zrangebylex key#0 min max LIMIT=limit?{offset:integer count:integer}
zrangebyscore key#0 min:double max:double WITHSCORES?@2.0.0 LIMIT=limit?{offset:integer count:integer}
zrangestore dst#0 src#1 min max sortby?(BYSCORE|BYLEX) REV? LIMIT=limit?{offset:integer count:integer}
zrank key#0 member WITHSCORE?
zrem key#0 member+
zremrangebylex key#0 min max
zremrangebyrank key#0 start:integer stop:integer
zremrangebyscore key#0 min:double max:double
zrevrange key#0 start:integer stop:integer WITHSCORES?
zrevrangebylex key#0 max min LIMIT=limit?{offset:integer count:integer}
zrevrangebyscore key#0 max:double min:double WITHSCORES? LIMIT=limit?{offset:integer count:integer}
zrevrank key#0 member WITHSCORE?
zscan key#0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer? NOSCORES?
zscore key#0 member
zunion numkeys:integer key#0+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate?(SUM|MIN|MAX) WITHSCORES?
zunionstore destination#0 numkeys:integer key#1+ WEIGHTS=weight:integer?+ AGGREGATE=aggregate?(SUM|MIN|MAX)
"""


@cache
def texts() -> dict[str, str]:
    """Command -> its arguments in the notation."""
    lines: list[str] = []
    for line in ARGUMENTS.strip().splitlines():
        if line.startswith(" "):
            lines[-1] += ("" if lines[-1].endswith("|") else " ") + line.strip()
        else:
            lines.append(line)
    return dict(line.split(" ", 1) for line in lines)


@cache
def arguments(name: str) -> list[Argument]:
    """Of a command by the table's name; empty if it takes none."""
    text = texts().get(name)
    return [] if text is None else parse(text)
