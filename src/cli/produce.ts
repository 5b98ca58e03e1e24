import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type BatchAck, type Durability, HoldfastError, type Producer } from '../client/index.ts';
import { errorCode, Failure, oneLine } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  durabilityOption,
  durationOption,
  print,
  printJson,
  timeOption,
  withClient,
} from './client-options.ts';
import { LineSplitter, LineTooLong } from './lines.ts';
import { wholeNumber } from './options.ts';

interface ProduceOptions extends ClientOptions {
  readonly queue?: number;
  readonly key?: string;
  readonly keySeparator?: string;
  readonly tag?: string;
  readonly property: Readonly<Record<string, string>>;
  readonly durability?: Durability;
  readonly file?: string;
  readonly timeout: number;
  /** Milliseconds. */
  readonly delay?: number;
  readonly deliverAt?: Date;
  readonly dedupKey?: string;
}

/** maxMessageBytes: what the whole encoded message may take. */
const MESSAGE_BYTES_MAX = 4_000_000;
/** Tag and length of the body; key and tag come on top and are checked when a line is sent. */
const BODY_OVERHEAD_BYTES = 5;

export function registerProduce(program: Command): void {
  const produce = program
    .command('produce <TOPIC>')
    .description('send each line of the input as a message; bytes are kept as they are')
    .option('-q, --queue <N>', 'send all to this queue', wholeNumber(0, 1023))
    .option('-k, --key <KEY>', 'key of all messages; the same key goes to the same queue')
    .addOption(
      new Option(
        '--key-separator <TEXT>',
        'a line is its key, TEXT and its body; without a body it deletes (compacted topics)',
      )
        .argParser(separator)
        .conflicts('key'),
    )
    .option('--tag <TAG>', 'tag of all messages')
    .option('--property <NAME=VALUE>', 'of all messages; may be repeated', property, {})
    .addOption(
      new Option('--delay <TIME>', 'deliver this long from now, such as 10s or 2h')
        .argParser(durationOption)
        .conflicts('deliverAt'),
    )
    .option('--deliver-at <TIME>', 'deliver then: 2026-01-31T12:00Z, or Unix ms', timeOption)
    .option(
      '--dedup-key <KEY>',
      'store nothing if this key was sent before; lines from the second on are KEY-2, KEY-3, …',
    )
    .option('--durability <LEVEL>', 'MAJORITY_FSYNC, MAJORITY, LEADER, NONE', durabilityOption)
    .option('-f, --file <PATH>', 'read this file instead of stdin')
    .addOption(
      new Option('--timeout <TIME>', 'give up on a message after this long')
        .argParser(durationOption)
        .default(30_000, '30s'),
    );
  addClientOptions(produce).action(produceLines);
}

async function produceLines(topic: string, options: ProduceOptions): Promise<void> {
  await withClient(options, async (client) => {
    const { durability, timeout: timeoutMs } = options;
    const totals = new Totals();
    const onBatch = (ack: BatchAck) => {
      totals.add(ack);
      if (options.json === true) printJson(ackJson(ack));
    };
    const producer = client.producer({ topic, durability, timeoutMs, onBatch });
    const sender = new LineSender(producer, options);
    try {
      // An unknown topic is reported even when there is nothing to send.
      await client.admin.describeTopic(topic, { timeoutMs });
      await sender.sendAll(openInput(options.file));
    } catch (error) {
      if (options.json !== true && totals.messages > 0) totals.print(topic);
      throw error;
    } finally {
      await producer.close();
    }
    if (options.json !== true) totals.print(topic);
  });
}

/** Scripts outside rely on this shape. */
export function ackJson(ack: BatchAck) {
  return {
    queue: ack.queue,
    base_offset: ack.baseOffset ?? null,
    count: ack.count,
    term: ack.term,
    log_index: ack.logIndex,
    durability: ack.durability,
    message_id: ack.firstMessageId,
    ...(ack.deliverAtMs === undefined ? {} : { deliver_at_ms: ack.deliverAtMs }),
    ...(ack.duplicate ? { duplicate: true } : {}),
  };
}

function openInput(path: string | undefined): Readable {
  return path === undefined ? process.stdin : createReadStream(path, { highWaterMark: 1 << 20 });
}

/** Reads ahead only as far as the producer has room. */
class LineSender {
  readonly #producer: Producer;
  readonly #options: ProduceOptions;
  #lines = 0;
  #failure: Failure | undefined;
  /** Of the lines that were read last: what is delayed to one time leaves together. */
  #deliverAtMs: number | undefined;

  constructor(producer: Producer, options: ProduceOptions) {
    this.#producer = producer;
    this.#options = options;
  }

  async sendAll(input: Readable): Promise<void> {
    const splitter = new LineSplitter(MESSAGE_BYTES_MAX - BODY_OVERHEAD_BYTES);
    try {
      for await (const chunk of input) {
        this.#deliverAtMs = deliveryTime(this.#options);
        for (const line of splitter.push(chunk as Buffer)) this.#send(line);
        await this.#producer.whenRoom();
        if (this.#failure !== undefined) break;
      }
      const rest = splitter.end();
      if (rest !== undefined && this.#failure === undefined) this.#send(rest);
    } catch (error) {
      await this.#producer.flush();
      throw this.#failure ?? inputFailure(error, this.#options.file);
    }
    await this.#producer.flush();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #send(line: Buffer): void {
    this.#lines += 1;
    const lineNumber = this.#lines;
    const { property: properties, queue, tag } = this.#options;
    const { body, key } = this.#keyed(line);
    const dedupKey = lineKey(this.#options.dedupKey, lineNumber);
    const deliverAtMs = this.#deliverAtMs;
    // What is delayed comes behind what is sent later: its key orders nothing.
    const orderingKey = deliverAtMs === undefined ? key : undefined;
    const content = { body, key, tag, properties };
    const message = { ...content, orderingKey, queue, deliverAtMs, dedupKey };
    this.#producer.send(message).catch((error: unknown) => {
      this.#failure ??= lineFailure(lineNumber, error);
    });
  }

  /** What has no key of its own ends the run: sent without, it would replace nothing. */
  #keyed(line: Buffer): { readonly body: Buffer; readonly key: string | undefined } {
    const { key, keySeparator } = this.#options;
    if (keySeparator === undefined) return { body: line, key };
    const end = line.indexOf(keySeparator);
    const ownKey = line.subarray(0, Math.max(0, end));
    if (ownKey.length === 0 || !isUtf8(ownKey)) throw keyless(this.#lines, keySeparator);
    return { body: line.subarray(end + Buffer.byteLength(keySeparator)), key: ownKey.toString() };
  }
}

function separator(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('must not be empty.');
}

function property(text: string, before: Readonly<Record<string, string>>) {
  const [name = '', ...value] = text.split('=');
  if (name === '' || value.length === 0) throw new InvalidArgumentError('must be NAME=VALUE.');
  return { ...before, [name]: value.join('=') };
}

function lineKey(key: string | undefined, lineNumber: number): string | undefined {
  return key === undefined || lineNumber === 1 ? key : `${key}-${lineNumber}`;
}

function deliveryTime({ delay, deliverAt }: ProduceOptions): number | undefined {
  return delay === undefined ? deliverAt?.getTime() : Date.now() + delay;
}

function keyless(lineNumber: number, keySeparator: string): Failure {
  const text = `no key (of UTF-8) stands before a ${JSON.stringify(keySeparator)}`;
  return new Failure(`line ${lineNumber}: ${text}; nothing from there on was sent`);
}

function lineFailure(lineNumber: number, error: unknown): Failure {
  const unknown = error instanceof HoldfastError && error.outcomeUnknown;
  const outcome = unknown ? ' (it may be stored all the same)' : '';
  return new Failure(`line ${lineNumber}: ${oneLine(error)}${outcome}`, 1, error);
}

function inputFailure(error: unknown, path: string | undefined): unknown {
  if (error instanceof LineTooLong) {
    const limit = `a message takes at most ${MESSAGE_BYTES_MAX} bytes`;
    return new Failure(`line ${error.lineNumber}: too long, ${limit}; nothing after it was sent`);
  }
  const code = errorCode(error);
  if (code === undefined) return error;
  return new Failure(`cannot read ${path ?? 'stdin'}: ${oneLine(error)}`, 1, error);
}

/** What was acknowledged, per queue: the summary for people. */
class Totals {
  messages = 0;
  readonly #queues = new Map<number, { count: number; first: number | undefined; last: number }>();
  #durability = '';
  readonly #delayed: BatchAck[] = [];

  add(ack: BatchAck): void {
    const { queue, count, baseOffset, durability, deliverAtMs } = ack;
    this.#durability = durability;
    this.messages += count;
    if (deliverAtMs !== undefined) {
      this.#delayed.push(ack);
      return;
    }
    const last = (baseOffset ?? 0) + count - 1;
    const total = this.#queues.get(queue);
    if (total === undefined) {
      this.#queues.set(queue, { count, first: baseOffset, last });
      return;
    }
    total.count += count;
    total.last = Math.max(total.last, last);
  }

  print(topic: string): void {
    const queues = [...this.#queues].sort(([a], [b]) => a - b);
    const level = this.#durability === '' ? '' : ` at ${this.#durability}`;
    void print(`${messageText(this.messages)} acknowledged on ${topic}${level}\n`);
    for (const [queue, { count, first, last }] of queues) {
      const offsets = first === undefined ? '' : `, ${offsetsText(first, last)}`;
      void print(`  queue ${queue}: ${messageText(count)}${offsets}\n`);
    }
    for (const { queue, count, deliverAtMs = 0, firstMessageId } of this.#delayed) {
      const until = new Date(deliverAtMs).toISOString();
      const back = `to take back: holdfast recall ${firstMessageId}`;
      void print(`  queue ${queue}: ${messageText(count)}, delayed until ${until}; ${back}\n`);
    }
  }
}

function messageText(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}

function offsetsText(first: number, last: number): string {
  return first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
}
