/** After the run a group takes what is left, until nothing is pending and nothing is before it. */
import { nowMs } from '../history.ts';
import { type Holder, receive, settle } from './leases.ts';
import type { Response } from './methods.ts';

/** Leases of a few seconds and short delays are all that keeps it from anything. */
const TIMEOUT_MS = 60_000;
const MESSAGES_MAX = 256;
const WAIT_MS = 500;
const PAGE_SIZE = 1000;

type Queues = Response<'Deliveries.DescribeSubscription'>['queues'];

export async function drain(holder: Holder): Promise<void> {
  const { load, of, process } = holder;
  const giveUpAtMs = nowMs() + TIMEOUT_MS;
  let text = 'nothing was answered';
  while (nowMs() < giveUpAtMs && !load.giveUp.aborted) {
    const answer = await receive(holder, MESSAGES_MAX, WAIT_MS);
    if (answer.outcome === 'ok') await settle(holder, { type: 'ack' }, answer.value);
    else if (load.isWorthRepeating(answer)) await holder.client.pauseAfter(answer);
    else {
      load.trouble(process, `receive: ${answer.text}`);
      return;
    }
    if (answer.outcome === 'ok' && answer.value.length > 0) continue;
    const left = await look(holder);
    if (typeof left === 'string') text = left;
    else if (left.every(({ lag, pending }) => lag === 0 && pending === 0)) {
      await recordDrained(holder, left);
      return;
    } else text = left.map(({ lag, pending }) => `${lag} + ${pending}`).join(', ');
  }
  load.trouble(process, `${of.group} does not get to the end, lag and pending by queue: ${text}`);
}

async function look({ load, client, of }: Holder): Promise<Queues | string> {
  const { name: topic, id: topic_id } = load.work;
  const request = { group: of.group, topic, topic_id };
  const answer = await client.attempt('Deliveries.DescribeSubscription', request);
  if (answer.outcome === 'ok') return answer.value.queues;
  await client.pauseAfter(answer);
  return answer.text;
}

async function recordDrained(holder: Holder, queues: Queues): Promise<void> {
  const { load, of, process } = holder;
  const dead = await deadLetters(holder);
  if (dead === undefined) {
    load.trouble(process, `the dead letters of ${of.group} cannot be listed`);
    return;
  }
  for (const { queue, cursor } of queues) {
    const letters = dead
      .filter((letter) => letter.queue === queue)
      .map(({ offset, attempts, cause }) => ({ offset, attempts, cause }));
    const what = { group: of.group, topic: load.work.id, queue, cursor, dead: letters };
    load.record({ type: 'drained', ...what });
  }
}

type DeadLetters = Response<'Deliveries.ListDeadLetters'>['dead_letters'];

async function deadLetters({ load, client, of }: Holder): Promise<DeadLetters | undefined> {
  const found: DeadLetters[number][] = [];
  const name = { group: of.group, topic: load.work.name };
  const giveUpAtMs = nowMs() + TIMEOUT_MS;
  let token = '';
  while (nowMs() < giveUpAtMs && !load.giveUp.aborted) {
    const request = { ...name, page_size: PAGE_SIZE, page_token: token };
    const answer = await client.attempt('Deliveries.ListDeadLetters', request);
    if (answer.outcome !== 'ok') {
      await client.pauseAfter(answer);
      continue;
    }
    found.push(...answer.value.dead_letters);
    token = answer.value.next_page_token;
    if (token === '') return found;
  }
  return undefined;
}
