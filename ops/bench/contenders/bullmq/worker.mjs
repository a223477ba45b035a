// A BullMQ worker that sends with the AWS SDK over connections kept open. Says "ready" once it waits for jobs.
//
//   QUEUE_PORT=6379 CONCURRENCY=50 node worker.mjs

import { SESv2Client, SendEmailCommand } from "@aws-sdk/client-sesv2";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { Worker } from "bullmq";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";

const concurrency = Number(process.env.CONCURRENCY);
const sockets = { keepAlive: true, maxSockets: concurrency };
const client = new SESv2Client({
  maxAttempts: 1,
  endpoint: process.env.AWS_ENDPOINT_URL_SESV2,
  requestHandler: new NodeHttpHandler({ httpAgent: new HttpAgent(sockets), httpsAgent: new HttpsAgent(sockets) }),
});

async function send({ data: { sender, to, subject, text, html } }) {
  await client.send(
    new SendEmailCommand({
      FromEmailAddress: sender,
      Destination: { ToAddresses: [to] },
      Content: {
        Simple: {
          Subject: { Data: subject, Charset: "UTF-8" },
          Body: { Text: { Data: text, Charset: "UTF-8" }, Html: { Data: html, Charset: "UTF-8" } },
        },
      },
    }),
  );
}

const connection = { host: "127.0.0.1", port: Number(process.env.QUEUE_PORT) };
const kept = { removeOnComplete: { count: 0 }, removeOnFail: { count: 0 } };
const worker = new Worker("mail", send, { connection, concurrency, ...kept });
worker.on("failed", (_job, error) => console.error(error));
worker.on("error", (error) => console.error(error));
await worker.waitUntilReady();
console.log("ready");
process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
