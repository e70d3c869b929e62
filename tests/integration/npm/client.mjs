// Writes and reads 500 keys through ioredis' cluster client, unmodified; prints what it found as JSON.
import Redis, { Cluster } from "ioredis";

const port = Number(process.argv[2]);
const cluster = new Cluster([{ host: "127.0.0.1", port }]);
const count = 500;
for (let i = 0; i < count; i++) await cluster.set(`js:${i}`, `value ${i}`);
let equal = 0;
for (let i = 0; i < count; i++) if ((await cluster.get(`js:${i}`)) === `value ${i}`) equal++;

// Every node but the owner answers MOVED; a client whose slot table is wrong about all slots finds the key all the same.
const answers = await Promise.all([0, 1, 2].map(async (shard) => {
  const node = new Redis({ host: "127.0.0.1", port: port + shard });
  const answer = await node.get("js:0").catch((error) => error.message);
  node.disconnect();
  return answer;
}));
const owner = answers.indexOf("value 0");
const redirected = answers.every((answer, shard) =>
  shard === owner || new RegExp(`^MOVED [0-9]+ 127\\.0\\.0\\.1:${port + owner}$`).test(answer));
const wrong = `127.0.0.1:${port + ((owner + 1) % 3)}`;
cluster.slots = cluster.slots.map(() => [wrong]);
const followed = await cluster.get("js:0");

console.log(JSON.stringify({ written: count, equal, nodes: cluster.nodes("master").length, redirected, followed }));
cluster.disconnect();
