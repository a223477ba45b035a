// Mail by the clients for JavaScript. One JSON object a line in, one JSON object a line out; ends with its input.
//
//   node tour.mjs {sesv2|ses|nodemailer} ENDPOINT
//   {"to": [...], "subject": "...", "text": "...", "set": "..."}  ->  {"id": "..."} or {"said": "..."}
//   {"used": true}                                              ->  {"used": 3}

import { createInterface } from "node:readline";

const [kind, endpoint] = process.argv.slice(2);
const from = "news@example.com";

async function awsClients() {
  const options = { endpoint, region: "us-east-1", maxAttempts: 1 };
  if (kind === "sesv2") {
    const { GetAccountCommand, SESv2Client, SendEmailCommand } = await import("@aws-sdk/client-sesv2");
    const client = new SESv2Client(options);
    return {
      async send({ to, subject, text, set }) {
        const answer = await client.send(
          new SendEmailCommand({
            FromEmailAddress: from,
            Destination: { ToAddresses: to },
            Content: { Simple: { Subject: { Data: subject }, Body: { Text: { Data: text } } } },
            ConfigurationSetName: set,
          }),
        );
        return answer.MessageId;
      },
      used: async () => (await client.send(new GetAccountCommand({}))).SendQuota.SentLast24Hours,
    };
  }
  const { GetSendQuotaCommand, SESClient, SendEmailCommand } = await import("@aws-sdk/client-ses");
  const client = new SESClient(options);
  return {
    async send({ to, subject, text, set }) {
      const answer = await client.send(
        new SendEmailCommand({
          Source: from,
          Destination: { ToAddresses: to },
          Message: { Subject: { Data: subject }, Body: { Text: { Data: text } } },
          ConfigurationSetName: set,
        }),
      );
      return answer.MessageId;
    },
    used: async () => (await client.send(new GetSendQuotaCommand({}))).SentLast24Hours,
  };
}

async function nodemailer() {
  const { createTransport } = (await import("nodemailer")).default;
  const { hostname, port } = new URL(endpoint);
  const transport = createTransport({
    host: hostname,
    port: Number(port),
    requireTLS: true,
    auth: { user: process.env.AWS_ACCESS_KEY_ID, pass: process.env.SMTP_PASSWORD },
  });
  return {
    async send({ to, subject, text, set }) {
      const headers = set ? { "X-SES-CONFIGURATION-SET": set } : {};
      const { response } = await transport.sendMail({ from, to, subject, text, headers });
      return response.replace("250 Ok ", "");
    },
  };
}

function said(error) {
  return [error.name, error.$metadata?.httpStatusCode, error.message, error.response].filter(Boolean).join(" ");
}

const client = await (kind === "nodemailer" ? nodemailer() : awsClients());
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = asked.used ? { used: await client.used() } : { id: await client.send(asked) };
  } catch (error) {
    answer = { said: said(error) };
  }
  console.log(JSON.stringify(answer));
}
process.exit();
