// Writes and reads keys of every type through ioredis' cluster client, unmodified, until a line comes on standard input;
// then looks at all of them once more. Prints JSON.
import { Cluster } from "ioredis";

const cluster = new Cluster([{ host: "127.0.0.1", port: Number(process.argv[2]) }]);
const counts = new Map();
const errors = [];
let stopped = false;
process.stdin.once("data", () => { stopped = true; });

const next = (key) => { counts.set(key, (counts.get(key) ?? 0) + 1); return counts.get(key); };
const shown = (value) => JSON.stringify(value, (_, part) => (part instanceof Error ? part.message : part));
const must = (key, found, wanted) => {
  if (shown(found) !== shown(wanted)) errors.push(`${key}: ${shown(found)}, not ${shown(wanted)}`);
};
// A transaction that is given up has its own error, and those of the commands that were refused while it was queued.
const told = (error) => [error, ...(error.previousErrors ?? [])].map((each) => each.message).join("; ");
const upTo = (count) => Array.from({ length: count }, (_, n) => String(n + 1));

const kinds = {
  text: async (key, count) => must(key, await cluster.incr(key), count),
  hash: async (key, count) => must(key, await cluster.hset(key, String(count), count), 1),
  list: async (key, count) => must(key, await cluster.rpush(key, count), count),
  zset: async (key, count) => must(key, await cluster.zadd(key, count, String(count)), 1),
  pipeline: async (key, count) =>
    must(key, await cluster.pipeline().incr(key).get(key).exec(), [[null, count], [null, String(count)]]),
  transaction: async (key, count) =>
    must(key, await cluster.multi().incr(key).get(key).exec(), [[null, count], [null, String(count)]]),
};
const looks = {
  hash: async (key, count) => must(key, Object.keys(await cluster.hgetall(key)).sort(), upTo(count).sort()),
  list: async (key, count) => must(key, await cluster.lrange(key, 0, -1), upTo(count)),
  zset: async (key, count) => must(key, await cluster.zrange(key, 0, -1), upTo(count)),
};

let operations = 0;
while (!stopped) {
  for (const [kind, act] of Object.entries(kinds)) {
    const key = `js:${kind}:${operations % 53}`;
    await act(key, next(key)).catch((error) => errors.push(`${key}: ${told(error)}`));
  }
  operations++;
}
for (const [key, count] of counts) {
  const look = looks[key.split(":")[1]] ?? (async () => must(key, await cluster.get(key), String(count)));
  await look(key, count).catch((error) => errors.push(`${key}: ${told(error)}`));
}
console.log(JSON.stringify({ operations, keys: counts.size, errors: errors.slice(0, 20) }));
cluster.disconnect();
