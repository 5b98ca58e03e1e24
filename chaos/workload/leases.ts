/** Receive, Ack, Nack and Extend, and the line that every attempt leaves. */
import type { Settled, SettleStatus } from '../history.ts';
import type { Client } from './client.ts';
import type { GivenMessage } from './delivery-methods.ts';
import { attemptOf, type Load } from './load.ts';
import type { Response } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { observedValue } from './payload.ts';

/** A group that takes work message by message. */
export interface WorkGroup {
  readonly group: string;
  readonly fifo: boolean;
}

export const WORK_GROUPS: readonly WorkGroup[] = [
  { group: 'takers', fifo: false },
  { group: 'takers-in-order', fifo: true },
];

export const LEASE_MS = 2000;
/** Of what was not answered; after that its leases end by themselves. */
const SETTLE_ATTEMPTS_MAX = 3;

/** What a receiver holds: what it needs to settle it, and what tells what to do with it. */
export interface Lease extends Pick<Settled, 'queue' | 'offset' | 'fence'> {
  readonly token: string;
  readonly value: string;
}

/** How it is settled. */
export type Verdict =
  | { readonly type: 'ack' }
  | { readonly type: 'nack'; readonly delayMs: number }
  | { readonly type: 'extend'; readonly extendMs: number };

/** Whoever holds leases: its name in the history, and its way to the nodes. */
export interface Holder {
  readonly load: Load;
  readonly client: Client;
  readonly process: string;
  readonly of: WorkGroup;
}

export async function receive(
  { load, client, process, of }: Holder,
  maxMessages: number,
  waitMs: number,
): Promise<Answer<readonly Lease[]>> {
  const { work } = load;
  const answer = await client.attempt('Deliveries.Receive', {
    ...{ ...of, topic: work.name, topic_id: work.id, consumer: process },
    ...{ max_messages: maxMessages, lease_ms: LEASE_MS, max_wait_ms: waitMs },
  });
  const given = answer.outcome === 'ok' ? answer.value.deliveries : [];
  const leases = given.map(leaseOf);
  load.record({
    type: 'receive',
    ...attemptOf(process, answer),
    ...{ group: of.group, topic: work.id, leaseMs: LEASE_MS },
    ...(of.fifo ? { fifo: true } : {}),
    deliveries: given.map(({ attempt, lease_until_ms: until }, i) => {
      const { queue, offset, fence, value } = leases[i]!;
      return { queue, offset, value, attempt, fence, untilMs: runMs(until) };
    }),
  });
  return answer.outcome === 'ok' ? { ...answer, value: leases } : answer;
}

function leaseOf({ queue, offset, token, fencing_token, messages }: GivenMessage): Lease {
  const [message] = messages;
  const value = message === undefined ? 'nothing' : observedValue(message);
  return { queue, offset, token, fence: fencing_token, value };
}

/** Sent again where there is no answer, a few times; resolves when nothing more is tried. */
export async function settle(
  holder: Holder,
  verdict: Verdict,
  leases: readonly Lease[],
): Promise<void> {
  let open = leases;
  for (let attempts = 0; open.length > 0 && attempts < SETTLE_ATTEMPTS_MAX; attempts++) {
    const answer = await attemptSettle(holder, verdict, open);
    if (answer.outcome === 'ok') {
      const { results } = answer.value;
      open = open.filter((_, i) => results[i]?.status === 'OUTCOME_OPEN');
    } else if (answer.retryable) await holder.client.pauseAfter(answer);
    else {
      holder.load.trouble(holder.process, `${verdict.type}: ${answer.text}`);
      return;
    }
  }
}

type SettleAnswer = Answer<Response<'Deliveries.Ack'>>;

async function attemptSettle(
  { load, client, process, of }: Holder,
  verdict: Verdict,
  leases: readonly Lease[],
): Promise<SettleAnswer> {
  const { group } = of;
  const name = { group, topic: load.work.name };
  const answer = await sent(client, name, verdict, leases);
  const results = answer.outcome === 'ok' ? answer.value.results : [];
  if (answer.outcome === 'ok' && results.length !== leases.length) {
    load.trouble(process, `${verdict.type} of ${leases.length}: ${results.length} results`);
  }
  load.record({
    type: 'settle',
    ...attemptOf(process, answer),
    ...{ group, topic: load.work.id, verdict: verdict.type },
    items: leases.map(({ queue, offset, fence }, i) => {
      return { queue, offset, fence, ...resultOf(results[i]) };
    }),
  });
  return answer;
}

function sent(
  client: Client,
  name: { readonly group: string; readonly topic: string },
  verdict: Verdict,
  leases: readonly Lease[],
): Promise<SettleAnswer> {
  const tokens = leases.map(({ token }) => token);
  if (verdict.type === 'ack') return client.attempt('Deliveries.Ack', { ...name, tokens });
  if (verdict.type === 'extend') {
    const request = { ...name, tokens, extend_ms: verdict.extendMs };
    return client.attempt('Deliveries.Extend', request);
  }
  const items = tokens.map((token) => ({ token, delay_ms: verdict.delayMs }));
  return client.attempt('Deliveries.Nack', { ...name, items });
}

function resultOf(result?: { readonly status: SettleStatus; readonly due_at_ms: number }) {
  if (result === undefined) return {};
  const { status, due_at_ms: due } = result;
  return due === 0 ? { status } : { status, dueMs: runMs(due) };
}

/** A moment by the clocks of the cluster, in time of the run. */
function runMs(atMs: number): number {
  return Math.round(atMs - performance.timeOrigin);
}
