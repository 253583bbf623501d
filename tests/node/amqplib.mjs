// npm's amqplib: the ten steps, one a run.
//
//   node amqplib.mjs STEP AMQP-URL QUEUE
//
// Ends with exit code 0 when the step holds, else with the assertion on stderr. tests/clients/test_amqplib.py
// drives it; `before-restart` and `after-restart` are the two halves of the last step.

import assert from "node:assert/strict";
import { once } from "node:events";
import amqp from "amqplib";

const COUNT = 1000;
const LARGE = Buffer.alloc(4 * 1024 * 1024, Buffer.from(Array.from({ length: 256 }, (_, n) => n)));

// amqplib names a field-table type by {"!": type, value}; plain values are what JavaScript has of its own.
const HEADERS = {
  boolean: true,
  byte: { "!": "byte", value: -7 },
  short: { "!": "short", value: -30000 },
  int: { "!": "int", value: -2000000000 },
  long: { "!": "long", value: 2 ** 52 },
  unsigned: { "!": "unsignedint", value: 4000000000 },
  float: { "!": "float", value: 0.5 },
  double: { "!": "double", value: 0.1 },
  decimal: { "!": "decimal", value: { digits: 314159, places: 5 } },
  timestamp: { "!": "timestamp", value: 1709209815 },
  text: "grüße, 世界",
  bytes: Buffer.from([0, 255, 254]),
  nothing: null,
  list: [1, "two", false],
  table: { inner: { deep: "value" } },
};

// What comes back: numbers are plain again; the types that JavaScript lacks keep their name.
const HEADERS_BACK = {
  ...HEADERS,
  byte: -7,
  short: -30000,
  int: -2000000000,
  long: 2 ** 52,
  unsigned: 4000000000,
  float: 0.5,
  double: 0.1,
};

async function next(channel, queue) {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    const message = await channel.get(queue);
    if (message) return message;
  }
  assert.fail(`no message in ${queue}`);
}

/** The error that closes a channel while `act` runs on it. */
async function closing(connection, act) {
  const channel = await connection.createChannel();
  const closed = once(channel, "error");
  await assert.rejects(act(channel));
  return (await closed)[0];
}

const steps = {
  async connect({ connection }) {
    const { capabilities, product } = connection.connection.serverProperties;
    assert.ok(product);
    assert.equal(capabilities.publisher_confirms, true);
    assert.equal(capabilities["basic.nack"], true);
  },

  async declare({ channel, queue }) {
    const declared = await channel.assertQueue(queue, { durable: true, maxLength: 10_000 });
    assert.deepEqual(declared, { queue, messageCount: 0, consumerCount: 0 });
    await channel.assertExchange(`${queue}-x`, "fanout", { durable: true });
    await channel.bindQueue(queue, `${queue}-x`, "");
    channel.publish(`${queue}-x`, "ignored", Buffer.from("fan"), { persistent: true });
    await channel.waitForConfirms();
    assert.equal((await next(channel, queue)).content.toString(), "fan");
  },

  async thousand({ channel, queue }) {
    await channel.assertQueue(queue);
    for (let n = 0; n < COUNT; n++) channel.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true });
    await channel.waitForConfirms();
    assert.equal((await channel.checkQueue(queue)).messageCount, COUNT);

    await channel.prefetch(100);
    const received = [];
    await new Promise((resolve) => {
      channel.consume(queue, (message) => {
        received.push(message.content.toString());
        channel.ack(message);
        if (received.length === COUNT) resolve();
      });
    });
    assert.deepEqual(received, Array.from({ length: COUNT }, (_, n) => `${n}`));
  },

  async nack({ channel, queue }) {
    await channel.assertQueue(queue);
    for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
    await channel.waitForConfirms();
    const [first, second] = [await next(channel, queue), await next(channel, queue)];
    assert.deepEqual([first.fields.redelivered, first.content.toString()], [false, "1"]);
    channel.nack(first, false, true);
    channel.ack(second);
    const again = await next(channel, queue);
    assert.deepEqual([again.fields.redelivered, again.content.toString()], [true, "1"]);
    channel.reject(again, false);
    assert.equal(await channel.get(queue), false);
  },

  async large({ channel, queue }) {
    await channel.assertQueue(queue);
    channel.sendToQueue(queue, LARGE, { persistent: true });
    await channel.waitForConfirms();
    const message = await next(channel, queue);
    assert.ok(message.content.equals(LARGE));
    channel.ack(message);
  },

  async properties({ channel, queue }) {
    await channel.assertQueue(queue);
    const sent = {
      contentType: "application/json",
      contentEncoding: "gzip",
      deliveryMode: 2,
      priority: 3,
      correlationId: "correlation",
      replyTo: "replies",
      expiration: "3600000",
      messageId: "message-1",
      timestamp: 1709209815,
      type: "order.created",
      userId: "guest",
      appId: "suite",
    };
    channel.sendToQueue(queue, Buffer.from("{}"), { ...sent, headers: HEADERS });
    await channel.waitForConfirms();
    const { properties } = await next(channel, queue);
    const { headers, ...rest } = properties;
    assert.deepEqual({ ...rest, clusterId: undefined }, { ...sent, clusterId: undefined });
    assert.deepEqual(headers, HEADERS_BACK);
  },

  async errors({ connection, queue }) {
    const missing = await closing(connection, (channel) => channel.checkQueue(queue));
    assert.equal(missing.code, 404);
    assert.match(missing.message, new RegExp(`NOT_FOUND - no queue '${queue}' in vhost '/'`));

    const other = await closing(connection, async (channel) => {
      await channel.assertQueue(queue, { durable: true });
      await channel.assertQueue(queue, { durable: false });
    });
    assert.equal(other.code, 406);
    assert.match(other.message, /received 'false' but current is 'true'/);
  },

  async "before-restart"({ channel, queue }) {
    await channel.assertQueue(queue);
    channel.sendToQueue(queue, Buffer.from("kept"), { persistent: true });
    await channel.waitForConfirms();
  },

  async "after-restart"({ channel, queue }) {
    const message = await next(channel, queue);
    assert.equal(message.content.toString(), "kept");
    channel.ack(message);
  },
};

const [step, url, queue] = process.argv.slice(2);
const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
await steps[step]({ connection, channel, queue });
await connection.close();
