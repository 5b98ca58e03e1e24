/**
 * Receive, on the node that was asked: the shards of the topic in turn, each time beginning with
 * another one. Where the first has nothing, all are asked to tell when they have something; whoever
 * is first is asked to lease. An answer that was lost leaves messages leased to nobody: their
 * leases end, and they come again.
 */
import type { TopicView } from '../../cluster/api.ts';
import type { CallError } from '../../status.ts';
import type { Call, Done } from '../call.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import { decodeJson, encodeJson } from '../internal-methods.ts';
import { type ShardMethod, shardTarget } from '../methods.ts';
import type { LeaseQuestion, QueueName } from './requests.ts';
import type { WaitAnswer, WaitQuestion } from './waits.ts';

/** A leader that has not answered by then does not keep the others from being asked. */
const PATIENCE_MS = 500;
const NO_BYTES = new Uint8Array(0);

export interface ReceiveMethods {
  readonly lease: ShardMethod;
  readonly wait: ShardMethod;
}

export interface Receive {
  readonly topic: TopicView;
  readonly question: Omit<LeaseQuestion, 'queues'>;
  readonly waitMs: number;
  /** Which shard begins. */
  readonly turn: number;
}

export class Receiving {
  readonly #router: ExecutorParts['router'];
  readonly #nowMs: () => number;
  readonly #methods: ReceiveMethods;
  readonly #call: Call;
  readonly #receive: Receive;
  readonly #done: Done;
  readonly #shards: ReadonlyMap<number, readonly QueueName[]>;
  readonly #endsAtMs: number;
  /** Shards that are being asked for a lease, and those that can give none to this call. */
  readonly #leasing = new Map<number, Call>();
  readonly #failed = new Map<number, CallError>();
  /** Had nothing that fits when the time was over: what comes then is for the next call. */
  readonly #empty = new Set<number>();
  #waits: Call[] = [];
  #isLastTry = false;
  #over = false;

  constructor(
    parts: Pick<ExecutorParts, 'router'> & { readonly nowMs: () => number },
    methods: ReceiveMethods,
    call: Call,
    receive: Receive,
    done: Done,
  ) {
    this.#router = parts.router;
    this.#nowMs = parts.nowMs;
    this.#methods = methods;
    this.#call = call;
    this.#receive = receive;
    this.#done = done;
    this.#shards = shardsOf(receive.topic, receive.turn);
    this.#endsAtMs = parts.nowMs() + receive.waitMs;
  }

  start(): void {
    // The caller is gone, or this node is stopping: what is on its way is released.
    this.#call.hurry = () => this.#finish(undefined, NO_BYTES);
    const [first] = this.#shards.keys();
    this.#lease(first!);
  }

  #lease(shard: number): void {
    const patience = setTimeout(() => this.#goOn(), PATIENCE_MS);
    const child: Call = this.#call.child((error, answer) => {
      clearTimeout(patience);
      this.#leasing.delete(shard);
      if (this.#over) return;
      if (answer !== undefined && answer.length > 0) this.#finish(undefined, answer);
      else if (error !== undefined && !isPassing(error)) this.#finish(error, undefined);
      else {
        if (error !== undefined) this.#failed.set(shard, error);
        else if (this.#isOver) this.#empty.add(shard);
        this.#goOn();
      }
    });
    this.#leasing.set(shard, child);
    const question = { ...this.#receive.question, queues: this.#shards.get(shard)! };
    this.#route(child, this.#methods.lease, shard, question satisfies LeaseQuestion);
  }

  /** What does not fit may keep coming: it is passed over for as long as there is time. */
  get #isOver(): boolean {
    return this.#receive.question.filter !== undefined && this.#nowMs() >= this.#endsAtMs;
  }

  /** All shards that can be asked are; nothing is leased by that. */
  #goOn(): void {
    if (this.#over || this.#waits.length > 0) return;
    const asked = [...this.#shards.keys()].filter(
      (shard) => !(this.#leasing.has(shard) || this.#failed.has(shard) || this.#empty.has(shard)),
    );
    if (asked.length === 0) {
      if (this.#leasing.size === 0) this.#finishEmpty();
      return;
    }
    const waitMs = Math.max(0, Math.floor(this.#endsAtMs - this.#nowMs()));
    const round: Call[] = [];
    this.#waits = round;
    let open = asked.length;
    for (const shard of asked) {
      const child = this.#call.child((error, answer) => {
        if (this.#over || this.#waits !== round) return;
        open -= 1;
        if (error !== undefined) this.#failed.set(shard, error);
        if (answer !== undefined && decodeJson<WaitAnswer>(answer).isFree) {
          this.#cancelWaits();
          this.#lease(shard);
        } else if (open === 0) this.#roundOver();
      });
      round.push(child);
      this.#wait(child, shard, waitMs);
      // It may have been answered already, and been free.
      if (this.#waits !== round) return;
    }
  }

  #wait(child: Call, shard: number, waitMs: number): void {
    const queueIds = this.#shards.get(shard)!.map(({ queueId }) => queueId);
    const { group } = this.#receive.question;
    const question: WaitQuestion = { group, queueIds, waitMs };
    this.#route(child, this.#methods.wait, shard, question);
  }

  #roundOver(): void {
    this.#waits = [];
    if (this.#leasing.size === 0) this.#finishEmpty();
  }

  /** No message is an answer; that no shard could be asked is none, nor is one that is damaged. */
  #finishEmpty(): void {
    const [shard, damage] = [...this.#failed].find(isDamage) ?? [];
    if (shard !== undefined && !this.#isLastTry) {
      // Replicas mend it, within moments: it may have been readable for long.
      this.#isLastTry = true;
      this.#failed.delete(shard);
      this.#lease(shard);
      return;
    }
    const [first] = this.#failed.values();
    const error = this.#failed.size === this.#shards.size ? first : damage;
    this.#finish(error, error === undefined ? NO_BYTES : undefined);
  }

  #finish(error: CallError | undefined, answer: Uint8Array | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.hurry = undefined;
    this.#call.mayHaveTakenEffect = false;
    this.#cancelWaits();
    // What is still leased, or waits for a leader to lease, would be for nobody: it is released.
    for (const lease of this.#leasing.values()) lease.cancel();
    this.#done(error, answer);
  }

  #cancelWaits(): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const wait of waits) wait.cancel();
  }

  #route(child: Call, method: ShardMethod, shard: number, question: object): void {
    const body = encodeJson(question);
    const routed = { method, target: shardTarget(shard), body };
    this.#router.route(child, routed, child.finish);
  }
}

/** What it says about one shard says nothing about the others. */
function isPassing(error: CallError): boolean {
  return error.retryable || error.outcomeUnknown || error.reason === 'DATA_DAMAGED';
}

function isDamage([, { reason }]: readonly [shard: number, error: CallError]): boolean {
  return reason === 'DATA_DAMAGED';
}

/** The topic's queues by shard, the shards in turn. */
function shardsOf(topic: TopicView, turn: number): ReadonlyMap<number, readonly QueueName[]> {
  const shards = new Map<number, QueueName[]>();
  const first = turn % topic.queues.length;
  for (const { queue, queueId, shard } of [
    ...topic.queues.slice(first),
    ...topic.queues.slice(0, first),
  ]) {
    const queues = shards.get(shard);
    if (queues === undefined) shards.set(shard, [{ queueId, queue }]);
    else queues.push({ queueId, queue });
  }
  return shards;
}
