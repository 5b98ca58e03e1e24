/**
 * Members of one group: each joins, holds what it is told, commits, acknowledges what it lost, and
 * now and then leaves or is silent until the others have its queues. Every time that a queue was
 * held becomes a line when it is over.
 */
import { randomUUID } from 'node:crypto';
import { nowMs } from '../history.ts';
import { Client } from './client.ts';
import { attemptOf, type Load, TOPIC } from './load.ts';
import type { Assignment } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { random } from './produce.ts';

export const MEMBER_GROUP = 'group-members';
const SESSION_MS = 6000;
const WAIT_MS = 500;
/** One turn in so many. */
const LEAVES_EVERY = 60;
const SILENT_EVERY = 90;
const STEP_MAX = 5;
const PACE_MS = 100;

/** What a change that came meanwhile, or an attempt without an answer, leads to. */
const EXPECTED = new Set(['STALE_GENERATION', 'MEMBER_UNKNOWN', 'OFFSET_FALLS', 'OFFSET_PAST_END']);

export class GroupMember {
  readonly #load: Load;
  readonly #name: string;
  readonly #client: Client;
  #instance = '';
  #generation = 0;
  #table = 0;
  /** Since when, and since which generation, it holds each queue. */
  readonly #held = new Map<number, { readonly sinceMs: number; readonly since: number }>();
  readonly #offsets = new Map<number, number>();
  /** When the last call that was answered was sent: its session counts from there. */
  #aliveMs = 0;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#name = `member-${index}`;
    this.#client = new Client(load.addresses, index, load.giveUp);
  }

  async run(): Promise<void> {
    while (this.#load.running) {
      if (this.#instance === '') await this.#join();
      else await this.#turn();
      await this.#load.pace(PACE_MS);
    }
    await this.#leave();
    this.#client.close();
  }

  async #turn(): Promise<void> {
    if (random(LEAVES_EVERY) === 0) await this.#leave();
    else if (random(SILENT_EVERY) === 0) await this.#beSilent();
    else {
      await this.#commit();
      await this.#beat();
    }
  }

  async #join(): Promise<void> {
    this.#instance = randomUUID();
    const sentMs = nowMs();
    const request = { ...this.#who(), session_ms: SESSION_MS, topics: [TOPIC] };
    const answer = await this.#client.attempt('Groups.Join', request);
    if (answer.outcome === 'ok') this.#learn(answer.value.assignment, sentMs);
    else await this.#lost(answer);
  }

  /** Says that what it lost is let go of, and hears what it has. */
  async #beat(): Promise<void> {
    const sentMs = nowMs();
    const known = { generation: this.#generation, table: this.#table };
    const request = { ...this.#who(), ...known, max_wait_ms: WAIT_MS };
    const answer = await this.#client.attempt('Groups.Heartbeat', request);
    this.#endSession();
    if (this.#instance === '') return;
    if (answer.outcome !== 'ok') await this.#lost(answer);
    else if (answer.value.assignment) this.#learn(answer.value.assignment, sentMs);
    else this.#aliveMs = sentMs;
  }

  #learn({ generation, table, topics }: Assignment, sentMs: number): void {
    this.#aliveMs = sentMs;
    this.#generation = generation;
    this.#table = table;
    const queues = new Set(topics.flatMap((topic) => topic.queues.map(({ queue }) => queue)));
    this.#release((queue) => !queues.has(queue));
    const held = { sinceMs: nowMs(), since: generation };
    for (const queue of queues) if (!this.#held.has(queue)) this.#held.set(queue, held);
  }

  async #commit(): Promise<void> {
    const queues = [...this.#held.keys()];
    const queue = queues[random(queues.length)];
    if (queue === undefined) return;
    const { group, member_id } = this.#who();
    const offset = 1 + random(STEP_MAX) + (this.#offsets.get(queue) ?? 0);
    const fence = { member_id, generation: this.#generation };
    const request = { group, topic: TOPIC, offsets: [{ queue, offset }], ...fence };
    const answer = await this.#client.attempt('Log.CommitOffset', request);
    const line = attemptOf(this.#name, answer);
    const { generation } = fence;
    this.#load.record({ type: 'commit', ...line, group, queue, offset, generation });
    if (answer.outcome === 'ok') this.#offsets.set(queue, offset);
    else if (answer.reason === 'OFFSET_FALLS') this.#offsets.set(queue, offset);
    else if (!answer.retryable && !EXPECTED.has(answer.reason)) {
      this.#load.trouble(this.#name, `commit of ${queue}, ${offset}: ${answer.text}`);
    }
  }

  async #leave(): Promise<void> {
    if (this.#instance === '') return;
    this.#release(() => true);
    const who = this.#who();
    this.#instance = '';
    await this.#client.attempt('Groups.Leave', who);
  }

  /** As a process that hangs: when it is heard of again, it is another one. */
  async #beSilent(): Promise<void> {
    await this.#load.pace(SESSION_MS / 2);
    this.#endSession();
  }

  async #lost(answer: Answer<unknown>): Promise<void> {
    if (answer.outcome === 'ok') return;
    if (answer.reason === 'MEMBER_UNKNOWN') this.#forget(nowMs());
    else if (this.#held.size === 0 && this.#generation === 0) this.#instance = '';
    if (answer.retryable || answer.outcome === 'unknown') await this.#client.pauseAfter(answer);
    else if (!EXPECTED.has(answer.reason)) this.#load.trouble(this.#name, answer.text);
    this.#endSession();
  }

  /** It stops by itself: nobody may have heard of it for a whole session. */
  #endSession(): void {
    const endsMs = this.#aliveMs + SESSION_MS;
    if (this.#instance !== '' && nowMs() >= endsMs) this.#forget(endsMs);
  }

  #forget(atMs: number): void {
    this.#release(() => true, atMs);
    this.#instance = '';
    this.#generation = 0;
    this.#table = 0;
  }

  #release(isLost: (queue: number) => boolean, atMs = nowMs()): void {
    const { group } = this.#who();
    for (const [queue, { sinceMs, since }] of [...this.#held]) {
      if (!isLost(queue)) continue;
      this.#held.delete(queue);
      const times = { invokedMs: sinceMs, completedMs: Math.max(sinceMs, atMs) };
      const held = { process: this.#name, ...times, outcome: 'ok', group, queue } as const;
      this.#load.record({ type: 'held', ...held, since });
    }
  }

  #who() {
    return { group: MEMBER_GROUP, member_id: this.#name, instance_id: this.#instance };
  }
}
