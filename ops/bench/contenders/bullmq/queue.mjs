// The producer's side. One command a line in, one line of JSON out:
//
//   add FILE       addBulk of the file's lines (JSON, one payload each), a thousand at a time -> {"seconds", "cpu"}
//   pause, resume  the whole queue                                                             -> {}
//
//   QUEUE_PORT=6379 node queue.mjs

import { Queue } from "bullmq";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const AT_ONCE = 1000;

const queue = new Queue("mail", { connection: { host: "127.0.0.1", port: Number(process.env.QUEUE_PORT) } });
await queue.waitUntilReady();

async function add(file) {
  const payloads = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  const began = performance.now();
  const cpu = process.cpuUsage();
  for (let first = 0; first < payloads.length; first += AT_ONCE) {
    await queue.addBulk(payloads.slice(first, first + AT_ONCE).map((data) => ({ name: "mail", data })));
  }
  const used = process.cpuUsage(cpu);
  return { seconds: (performance.now() - began) / 1e3, cpu: (used.user + used.system) / 1e6 };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, file] = line.split(" ");
  const answer = command === "add" ? await add(file) : await queue[command]();
  console.log(JSON.stringify(answer ?? {}));
}
process.exit(0);
