/**
 * Takes work message by message, as one of several of its group: acknowledges most of it, gives
 * some back, keeps some longer, is too late with some, and now and then dies with what it has. Some
 * work cannot be done by anybody: it ends as dead letters.
 */
import { nowMs } from '../history.ts';
import { Client } from './client.ts';
import { type Holder, LEASE_MS, type Lease, receive, settle, type WorkGroup } from './leases.ts';
import type { Load } from './load.ts';
import { random } from './produce.ts';

const MESSAGES_MAX = 16;
const WAIT_MS = 800;
const PACE_MS = 150;
const NACK_DELAY_MAX_MS = 400;
const EXTEND_MS = 3000;
/** Of what can be done. */
const SHARE_ACKED = 0.78;
const SHARE_NACKED = 0.08;
const SHARE_EXTENDED = 0.04;
const SHARE_LATE = 0.05;
/** One answer in so many is never looked at. */
const DIES_EVERY = 40;
/** One message in so many. */
const POISON_EVERY = 61;

interface Late {
  readonly lease: Lease;
  readonly atMs: number;
}

export class Receiver {
  readonly #load: Load;
  readonly #holder: Holder;
  readonly #late: Late[] = [];

  constructor(load: Load, of: WorkGroup, index: number) {
    this.#load = load;
    const client = new Client(load.addresses, index, load.giveUp);
    this.#holder = { load, client, of, process: `${of.group}-${index}` };
  }

  async run(): Promise<void> {
    while (this.#load.running && (await this.#turn())) {
      await this.#ackLate();
      await this.#load.pace(PACE_MS);
    }
    this.#holder.client.close();
  }

  async #turn(): Promise<boolean> {
    const { client, process } = this.#holder;
    const answer = await receive(this.#holder, MESSAGES_MAX, WAIT_MS);
    if (answer.outcome === 'ok') {
      if (random(DIES_EVERY) === 0) client.useNext();
      else await this.#work(answer.value);
      return true;
    }
    if (!this.#load.isWorthRepeating(answer)) {
      this.#load.trouble(process, `receive: ${answer.text}`);
      return false;
    }
    await client.pauseAfter(answer);
    return true;
  }

  async #work(leases: readonly Lease[]): Promise<void> {
    const done: Lease[] = [];
    const extended: Lease[] = [];
    for (const lease of leases) {
      const draw = Math.random();
      if (isPoison(lease.value)) await this.#giveBack(lease, 0);
      else if (draw < SHARE_ACKED) done.push(lease);
      else if (draw < SHARE_ACKED + SHARE_NACKED) {
        await this.#giveBack(lease, random(NACK_DELAY_MAX_MS));
      } else if (draw < SHARE_ACKED + SHARE_NACKED + SHARE_EXTENDED) extended.push(lease);
      else if (draw < SHARE_ACKED + SHARE_NACKED + SHARE_EXTENDED + SHARE_LATE) {
        this.#late.push({ lease, atMs: nowMs() + LEASE_MS + random(LEASE_MS) });
      }
    }
    await settle(this.#holder, { type: 'extend', extendMs: EXTEND_MS }, extended);
    await settle(this.#holder, { type: 'ack' }, [...done, ...extended]);
  }

  async #giveBack(lease: Lease, delayMs: number): Promise<void> {
    await settle(this.#holder, { type: 'nack', delayMs }, [lease]);
  }

  /** Their leases have ended: somebody else may have the message by now. */
  async #ackLate(): Promise<void> {
    const due = this.#late.filter(({ atMs }) => atMs <= nowMs()).map(({ lease }) => lease);
    if (due.length === 0) return;
    this.#late.splice(0, this.#late.length, ...this.#late.filter(({ atMs }) => atMs > nowMs()));
    await settle(this.#holder, { type: 'ack' }, due);
  }
}

/** The same ones for everybody. */
function isPoison(value: string): boolean {
  let sum = 0;
  for (let i = 0; i < value.length; i++) sum = (31 * sum + value.charCodeAt(i)) % 1_000_003;
  return sum % POISON_EVERY === 0;
}
