/**
 * A consumer as a member of its group: joins, says that it is there, and acknowledges what changes
 * only after the consumer has let go of what it lost. Its session ends here no later than at the
 * server: it counts from when the last heartbeat that was answered was sent.
 */
import { randomUUID } from 'node:crypto';
import { pause } from './backoff.ts';
import { HoldfastError } from './errors.ts';
import type { Assignment, GroupMode, Groups } from './groups.ts';

export interface MemberOptions {
  readonly group: string;
  readonly topic: string;
  readonly mode?: GroupMode | undefined;
  readonly memberId?: string | undefined;
  readonly clientName?: string | undefined;
  readonly sessionMs?: number | undefined;
}

export interface MemberEvents {
  /** What is not in it must not be read any more once this resolves. */
  assigned(assignment: Assignment): Promise<void>;
  /** The session may be over: nothing may be read until something is assigned anew. */
  lost(): void;
  failed(error: unknown): void;
}

/** How long a heartbeat may wait for a change, and then for its answer, in parts of a session. */
const WAIT_SHARE = 0.3;
const ANSWER_SHARE = 0.6;
const LEAVE_TIMEOUT_MS = 2000;
const JOIN_AGAIN_MS = 250;

export class GroupMember {
  readonly memberId: string;
  readonly #instanceId = randomUUID();
  readonly #options: MemberOptions;
  readonly #groups: Groups;
  readonly #events: MemberEvents;
  readonly #stop = new AbortController();
  #sessionMs = 0;
  #timer: NodeJS.Timeout | undefined;
  /** What the consumer acts on; undefined = nothing may be read. */
  #current: Assignment | undefined;
  #waiters: (() => void)[] = [];

  constructor(options: MemberOptions, groups: Groups, events: MemberEvents) {
    this.#options = options;
    this.#groups = groups;
    this.#events = events;
    this.memberId = options.memberId ?? `${options.clientName ?? 'member'}-${randomUUID()}`;
  }

  /** Goes with every commit; undefined = not a member now. */
  get generation(): number | undefined {
    return this.#current?.generation;
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#events.failed(error);
    });
  }

  /** Resolves when another assignment is in force, or after `withinMs`. */
  changed(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The others get its queues at once, where the cluster hears of it. */
  async leave(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#wake();
    if (this.#sessionMs === 0) return;
    // Whoever cannot say it is missed after its session.
    await this.#groups.leave(this.#name(), { timeoutMs: LEAVE_TIMEOUT_MS }).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#join();
      await this.#beat();
      if (!signal.aborted) await pause(JOIN_AGAIN_MS, signal);
    }
  }

  async #join(): Promise<void> {
    const { topic, mode, clientName, sessionMs } = this.#options;
    const wish = { topics: [topic], mode, clientName, sessionMs };
    const { signal } = this.#stop;
    const sentAtMs = performance.now();
    const joined = await this.#groups.join({ ...this.#name(), ...wish }, { signal });
    this.#sessionMs = joined.sessionMs;
    await this.#take(joined.assignment, sentAtMs);
  }

  /** Until the session is over, or the consumer is closed. */
  async #beat(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const sentAtMs = performance.now();
      try {
        const known = this.#current;
        const assignment = await this.#groups.heartbeat(
          {
            ...this.#name(),
            generation: known?.generation ?? 0,
            table: known?.table ?? 0,
            maxWaitMs: Math.floor(this.#sessionMs * WAIT_SHARE),
          },
          { timeoutMs: this.#sessionMs * ANSWER_SHARE, signal },
        );
        if (assignment !== undefined) await this.#take(assignment, sentAtMs);
        else this.#answered(sentAtMs);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof HoldfastError)) throw error;
        if (error.reason === 'MEMBER_UNKNOWN') {
          this.#lose();
          return;
        }
        if (!error.retryable && error.code !== 'DEADLINE_EXCEEDED') throw error;
        await pause(JOIN_AGAIN_MS, signal);
      }
    }
  }

  async #take(assignment: Assignment, sentAtMs: number): Promise<void> {
    this.#current = assignment;
    this.#answered(sentAtMs);
    await this.#events.assigned(assignment);
    this.#wake();
  }

  #answered(sentAtMs: number): void {
    clearTimeout(this.#timer);
    const leftMs = sentAtMs + this.#sessionMs - performance.now();
    this.#timer = setTimeout(() => this.#lose(), Math.max(0, leftMs));
  }

  #lose(): void {
    clearTimeout(this.#timer);
    if (this.#current === undefined) return;
    this.#current = undefined;
    this.#events.lost();
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  #name() {
    const { group } = this.#options;
    return { group, memberId: this.memberId, instanceId: this.#instanceId };
  }
}
