// Follow the change feed with nats.js, from where the last run stopped.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { jetstream, DeliverPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [url = "nats://127.0.0.1:4222", workspace = "default"] = process.argv.slice(2);
const state = "follow.position";
let position = existsSync(state) ? Number(readFileSync(state, "utf8")) : 0;

const client = await connect({ servers: url });
const consumer = await jetstream(client).consumers.get(`ANAMNESIS_${workspace}`, {
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: position + 1,
});
for await (const message of await consumer.consume()) {
  const number = Number(message.headers.get("ce-sequence"));
  if (number <= position) continue; // Seen before: the broker may repeat itself, positions do not.
  console.log(number, message.headers.get("ce-type"), message.headers.get("ce-subject"), message.data.length);
  position = number;
  writeFileSync(state, String(position));
}
