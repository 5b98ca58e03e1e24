/**
 * Checks that are due in the shards that this node leads. Each is leased by a replicated command
 * before it leaves, so that two pollers do not both run it; it counts only when the node that was
 * asked has told that it reached a producer. Woken by applied entries, leadership and one timer for
 * the next due time.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, TransactionId } from '../broker/commands.ts';
import type { LeasedCheck, StoredPart } from '../broker/transaction-commands.ts';
import { messageIdText, transactionIdText } from '../convert.ts';
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import { type Call, type Calls, type Done, OWN_CALL } from './call.ts';
import { gatherCallbacks } from './callbacks.ts';
import { encodeCollected, type ShardLeases } from './collected-checks.ts';
import { readHiddenBody } from './hidden-body.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import { type NodeMethod, type ShardMethod, shardTarget } from './methods.ts';
import { type CheckAnswer, encodeCheck } from './responses.ts';

export interface ChecksQuestion {
  readonly producerGroup: string;
  /** Who asks: of others' transactions nothing is told. '' = a node itself, or nobody was asked. */
  readonly principal: string;
  readonly maxChecks: number;
  readonly waitMs: number;
  readonly leaseMs: number;
}

/** The checks of one shard, leased and encoded. */
interface Leased extends ShardLeases {
  readonly checks: readonly Buffer[];
}

export interface CollectorParts {
  readonly host: ShardHost;
  readonly router: Router;
  readonly calls: Calls;
  /** Messages of a part that lies in a shard which another node leads. */
  readonly bodies: ShardMethod;
}

const NO_BYTES = new Uint8Array(0);
/** For the messages of a part elsewhere. */
const BODY_TIMEOUT_MS = 2_000;
/** Shard time may run apart from this clock: look again at the latest after this. */
const MAX_SLEEP_MS = 60_000;
/** A check that is due "now" by our clock may be due a moment later by the shard's. */
const MIN_SLEEP_MS = 10;
/**
 * Entries applied within this long are one look: with many polls and many messages anything more
 * is work for nothing, as a check is due seconds after its half message at the earliest.
 */
const LOOK_PACE_MS = 50;

export class CheckCollector {
  readonly method: NodeMethod;
  readonly #parts: CollectorParts;
  readonly #maxPolls: number;
  readonly #polls = new Set<CollectPoll>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(parts: CollectorParts, maxPolls: number) {
    const { host } = parts;
    this.#parts = parts;
    this.#maxPolls = maxPolls;
    const wake = () => {
      for (const poll of this.#polls) poll.schedule();
    };
    this.#unsubscribe = [host.onApplied(wake), host.onLeadership(wake)];
    this.method = {
      name: '.checks/collect',
      perform: (call, body, done) => this.#collect(call, decodeJson<ChecksQuestion>(body), done),
    };
  }

  get polls(): number {
    return this.#polls.size;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const poll of [...this.#polls]) poll.giveUp();
  }

  #collect(call: Call, question: ChecksQuestion, done: Done): void {
    if (this.#polls.size >= this.#maxPolls) {
      done(
        new CallError('NODE_BUSY', 'too many polls wait on this node: try again later'),
        undefined,
      );
      return;
    }
    const poll: CollectPoll = new CollectPoll(this.#parts, question, (error, answer) => {
      this.#polls.delete(poll);
      call.hurry = undefined;
      call.abort = undefined;
      done(error, answer);
    });
    this.#polls.add(poll);
    call.hurry = () => poll.hurry();
    call.abort = () => poll.giveUp();
    poll.start();
  }
}

class CollectPoll {
  readonly #parts: CollectorParts;
  readonly #host: ShardHost;
  readonly #question: ChecksQuestion;
  readonly #done: Done;
  #stopSleep: (() => void) | undefined;
  #end: NodeJS.Timeout | undefined;
  #stopPace: (() => void) | undefined;
  #leasing = false;
  #hurried = false;
  #finished = false;

  constructor(parts: CollectorParts, question: ChecksQuestion, done: Done) {
    this.#parts = parts;
    this.#host = parts.host;
    this.#question = question;
    this.#done = done;
  }

  start(): void {
    const { waitMs } = this.#question;
    if (waitMs > 0) this.#end = setTimeout(() => this.hurry(), waitMs);
    else this.#hurried = true;
    this.#look();
  }

  schedule(): void {
    if (this.#stopPace !== undefined || this.#leasing || this.#finished) return;
    this.#stopPace = this.#host.startTimer(LOOK_PACE_MS, () => {
      this.#stopPace = undefined;
      this.#look();
    });
  }

  /** Answers now; checks that are just being leased are waited for. */
  hurry(): void {
    this.#hurried = true;
    if (!this.#leasing) this.#finish([]);
  }

  giveUp(): void {
    this.#finish([]);
  }

  #look(): void {
    if (this.#finished || this.#leasing) return;
    const due = this.#due();
    if (due.length > 0) this.#lease(due);
    else if (this.#hurried) this.#finish([]);
    else this.#sleep();
  }

  #due(): { shard: number; ids: readonly TransactionId[] }[] {
    const { producerGroup, principal, maxChecks } = this.#question;
    const due: { shard: number; ids: readonly TransactionId[] }[] = [];
    let room = maxChecks;
    for (const shard of this.#ledShards()) {
      if (room <= 0) break;
      const nowMs = this.#host.shardTimeMs(shard);
      const ids = this.#host.data(shard).dueChecks(producerGroup, nowMs, room, principal);
      if (ids.length === 0) continue;
      room -= ids.length;
      due.push({ shard, ids });
    }
    return due;
  }

  #ledShards(): number[] {
    return this.#host.shards().filter((shard) => shard !== 0 && this.#host.isReady(shard));
  }

  #sleep(): void {
    let sleepMs = MAX_SLEEP_MS;
    const { producerGroup, principal } = this.#question;
    for (const shard of this.#ledShards()) {
      const atMs = this.#host.data(shard).nextCheckAtMs(producerGroup, principal);
      if (atMs !== undefined) sleepMs = Math.min(sleepMs, atMs - this.#host.shardTimeMs(shard));
    }
    this.#stopSleep?.();
    const waitMs = Math.max(MIN_SLEEP_MS, sleepMs);
    this.#stopSleep = this.#host.startTimer(waitMs, () => this.#look());
  }

  #lease(due: readonly { shard: number; ids: readonly TransactionId[] }[]): void {
    this.#leasing = true;
    const leased: Leased[] = [];
    let open = due.length;
    for (const { shard, ids } of due) {
      this.#leaseInShard(shard, ids, (found) => {
        if (found !== undefined) leased.push(found);
        open -= 1;
        if (open > 0) return;
        this.#leasing = false;
        if (leased.length > 0 || this.#hurried) this.#finish(leased);
        else this.#sleep();
      });
    }
  }

  /** A shard that lost its leader meanwhile yields nothing: its checks come up again. */
  #leaseInShard(
    shard: number,
    transactions: readonly TransactionId[],
    done: (leased: Leased | undefined) => void,
  ): void {
    const { producerGroup, leaseMs } = this.#question;
    const what = { producerGroup, transactions, leaseMs, countsLater: true } as const;
    const head = encodeCommand({ type: 'leaseChecks', ...what });
    this.#host.propose(shard, head, NO_BYTES, 'majorityFsync', (outcome) => {
      const result = outcome.status === 'applied' ? (outcome.result as ApplyResult) : undefined;
      if (result?.type !== 'leased' || result.checks.length === 0) {
        done(undefined);
        return;
      }
      const leases = result.checks.map(({ id, lease }) => ({ id, lease }));
      gatherCallbacks<LeasedCheck, Buffer>(
        result.checks,
        (check, answer) => this.#withMessages(shard, check, answer),
        (_error, checks) => done({ shard, leases, checks }),
      );
    });
  }

  #withMessages(
    shard: number,
    check: LeasedCheck,
    answer: (error?: CallError, check?: Buffer) => void,
  ): void {
    gatherCallbacks<StoredPart, Uint8Array>(
      check.parts,
      (part, found) => this.#readPart(part, (messages) => found(undefined, messages)),
      (_error, messages) => answer(undefined, encodeCheck(checkAnswer(shard, check, messages))),
    );
  }

  /** Damage or a shard without a leader must not hide a check: it goes without its messages. */
  #readPart({ shard, at }: StoredPart, done: (messages: Uint8Array) => void): void {
    const { bodies, calls, host, router } = this.#parts;
    if (host.isReady(shard)) {
      readHiddenBody(host, shard, at, done);
      return;
    }
    const call = calls.open(BODY_TIMEOUT_MS, OWN_CALL, (error, messages) => {
      done(error === undefined ? messages! : NO_BYTES);
    });
    const routed = { method: bodies, target: shardTarget(shard), body: encodeJson(at) };
    router.route(call, routed, call.finish);
  }

  #finish(leased: readonly Leased[]): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#stopSleep?.();
    this.#stopPace?.();
    clearTimeout(this.#end);
    const leases = leased.map(({ shard, leases: refs }) => ({ shard, leases: refs }));
    const checks = leased.flatMap((one) => one.checks);
    this.#done(undefined, encodeCollected(leases, checks));
  }
}

function checkAnswer(
  shard: number,
  check: LeasedCheck,
  messages: readonly Uint8Array[],
): CheckAnswer {
  return {
    transactionId: transactionIdText({ shard, ...check.id }),
    callerId: check.callerId,
    checkCount: check.checkCount,
    preparedAtMs: check.preparedAtMs,
    parts: check.parts.map((part, at) => ({
      topic: part.topic,
      queue: part.queue,
      firstMessageId: messageIdText(part.shard, part.at.index, 0),
      count: part.count,
      messages: messages[at]!,
    })),
  };
}
