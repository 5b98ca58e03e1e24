/**
 * The checks of one producer group, asked over HTTP by each node for the transactions that it
 * coordinates. A check is leased as for a poll, so nobody else runs it meanwhile, and counts when
 * an answer came. Where none came its lease runs out, and it is asked again.
 */
import type { Call, Calls } from '../call.ts';
import { OWN_CALL } from '../call.ts';
import type { ChecksQuestion } from '../check-collector.ts';
import { decodeCollected, type ShardLeases } from '../collected-checks.ts';
import { encodeJson } from '../internal-methods.ts';
import type { ServiceMeters } from '../meters.ts';
import type { NodeMethod } from '../methods.ts';
import type { ProtoMethod } from '../proto.ts';
import { splitChecks } from '../responses.ts';
import type { ServiceLogger } from '../service.ts';
import { askWebhook, type Outcome } from './ask.ts';
import { type DecodedCheck, questionText } from './question-text.ts';
import { Silence } from './silence.ts';

export interface Webhook {
  readonly url: string;
  /** For the whole answer. */
  readonly timeoutMs: number;
}

export interface WebhookParts {
  readonly calls: Calls;
  readonly collect: NodeMethod;
  /** Its answers are checks. */
  readonly watchChecks: ProtoMethod;
  readonly logger: ServiceLogger;
  readonly meters: Pick<ServiceMeters, 'webhookAnswered'>;
  readonly config: {
    readonly checkIntervalMs: number;
    readonly maxWaitMs: number;
    readonly maxWebhookCallsPerGroup: number;
  };
  /** These reached a producer. */
  delivered(leases: readonly ShardLeases[]): void;
  /** Calls back with the refusal, if the decision was refused or is not known to stand. */
  end(producerGroup: string, id: string, outcome: Outcome, done: (error?: Error) => void): void;
}

/** A lease outlives its question by so much, for the decision to arrive. */
const LEASE_SLACK_MS = 5_000;
/** A collection that this node could not make (too many polls) is made again after this. */
const AGAIN_MS = 1_000;
const POLL_SLACK_MS = 5_000;

interface LeasedCheck {
  readonly leases: readonly ShardLeases[];
  readonly check: DecodedCheck;
}

export class GroupWebhook {
  readonly #producerGroup: string;
  readonly #webhook: Webhook;
  readonly #parts: WebhookParts;
  readonly #stop = new AbortController();
  #collecting: Call | undefined;
  #again: NodeJS.Timeout | undefined;
  #asking = 0;
  readonly #silence = new Silence();

  constructor(producerGroup: string, webhook: Webhook, parts: WebhookParts) {
    this.#producerGroup = producerGroup;
    this.#webhook = webhook;
    this.#parts = parts;
  }

  /** Waits for due checks while there is room to ask about them. */
  collect(): void {
    const { calls, collect, config } = this.#parts;
    const room = config.maxWebhookCallsPerGroup - this.#asking;
    if (this.#stop.signal.aborted || this.#collecting !== undefined || room <= 0) return;
    clearTimeout(this.#again);
    const leaseMs = Math.max(config.checkIntervalMs, this.#webhook.timeoutMs + LEASE_SLACK_MS);
    const question: ChecksQuestion = {
      ...{ producerGroup: this.#producerGroup, principal: '', maxChecks: room, leaseMs },
      waitMs: config.maxWaitMs,
    };
    const call = calls.open(config.maxWaitMs + POLL_SLACK_MS, OWN_CALL, (error, answer) => {
      this.#collecting = undefined;
      if (this.#stop.signal.aborted) return;
      if (answer !== undefined) for (const one of this.#split(answer)) this.#ask(one);
      // Not from within the answer: collections that end at once must not nest.
      const isSoon = error === undefined;
      this.#again = setTimeout(() => this.collect(), isSoon ? 0 : AGAIN_MS);
    });
    this.#collecting = call;
    collect.perform(call, encodeJson(question), call.finish);
  }

  close(): void {
    this.#stop.abort();
    clearTimeout(this.#again);
    this.#collecting?.cancel();
  }

  /** Leases and checks stand in one order. */
  #split(frame: Uint8Array): readonly LeasedCheck[] {
    const { answer, leases } = decodeCollected(frame);
    const single = leases.flatMap((of) =>
      of.leases.map((lease) => [{ shard: of.shard, leases: [lease] }]),
    );
    const { watchChecks } = this.#parts;
    return splitChecks(answer).map((bytes, at) => ({
      leases: single[at]!,
      check: watchChecks.responseDeserialize(bytes) as DecodedCheck,
    }));
  }

  #ask({ check, leases }: LeasedCheck): void {
    this.#asking += 1;
    void this.#answered(check, leases).finally(() => {
      this.#asking -= 1;
      this.collect();
    });
  }

  async #answered(check: DecodedCheck, leases: readonly ShardLeases[]): Promise<void> {
    const body = questionText(this.#producerGroup, check);
    const answer = await askWebhook({ ...this.#webhook, body, signal: this.#stop.signal });
    if (this.#stop.signal.aborted) return;
    const { meters } = this.#parts;
    meters.webhookAnswered(answer.type === 'failed' ? 'FAILED' : answer.outcome);
    if (answer.type === 'failed') {
      this.#tellFailed(answer.why);
      return;
    }
    this.#tellAnswered(check, answer.remark);
    this.#parts.delivered(leases);
    if (answer.outcome !== 'UNKNOWN') await this.#end(check.transaction_id, answer.outcome);
  }

  #end(id: string, outcome: Outcome): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.end(this.#producerGroup, id, outcome, (error) => {
        if (error !== undefined) {
          const facts = { ...this.#names(), transaction: id, outcome, why: error.message };
          this.#parts.logger.warn(facts, 'a webhook decided, which was refused or got lost');
        }
        resolve();
      });
    });
  }

  /** The first of a row, and now and then how it goes on: until it is over nothing is parked. */
  #tellFailed(why: string): void {
    const { calls, logger } = this.#parts;
    const silence = this.#silence.failed(calls.clock.nowMs());
    if (silence === undefined) return;
    logger.warn(
      { ...this.#names(), why, ...silence },
      'a webhook does not answer: its checks do not count, and are asked again',
    );
  }

  #tellAnswered({ transaction_id: transaction }: DecodedCheck, remark: string | undefined): void {
    const { logger } = this.#parts;
    const failures = this.#silence.over();
    if (failures > 0) logger.info({ ...this.#names(), failures }, 'a webhook answers again');
    if (remark === undefined) return;
    logger.warn({ ...this.#names(), transaction, why: remark }, 'a webhook decided nothing');
  }

  /** Without path and query, which may be secret. */
  #names(): object {
    return { producerGroup: this.#producerGroup, host: new URL(this.#webhook.url).host };
  }
}
