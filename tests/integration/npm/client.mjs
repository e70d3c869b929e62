// Writes and reads 500 keys through ioredis' cluster client, unmodified; prints what it found as JSON.
import { Cluster } from "ioredis";

const cluster = new Cluster([{ host: "127.0.0.1", port: Number(process.argv[2]) }]);
const count = 500;
for (let i = 0; i < count; i++) await cluster.set(`js:${i}`, `value ${i}`);
let equal = 0;
for (let i = 0; i < count; i++) if ((await cluster.get(`js:${i}`)) === `value ${i}`) equal++;
console.log(JSON.stringify({ written: count, equal, nodes: cluster.nodes("master").length }));
cluster.disconnect();
