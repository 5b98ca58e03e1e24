/** All producer groups that are asked over HTTP, as the configuration of this node names them. */
import { toCallError } from '../../status.ts';
import { type Calls, OWN_CALL } from '../call.ts';
import type { CheckCalls } from '../checks.ts';
import { WATCH_CHECKS_PATH } from '../checks.ts';
import type { ServiceConfig } from '../config.ts';
import type { ServiceMeters } from '../meters.ts';
import type { NodeMethod } from '../methods.ts';
import type { Proto } from '../proto.ts';
import type { ServiceLogger } from '../service.ts';
import { END_PATH, type TransactionCalls } from '../transactions.ts';
import { GroupWebhook, type WebhookParts } from './group-webhook.ts';

export interface WebhooksParts {
  readonly calls: Calls;
  readonly checks: CheckCalls;
  readonly collect: NodeMethod;
  readonly config: ServiceConfig;
  readonly logger: ServiceLogger;
  readonly meters: ServiceMeters;
  readonly proto: Proto;
  readonly transactions: TransactionCalls;
}

const DECISIONS = { COMMIT: 1, ROLLBACK: 2, UNKNOWN: 3 } as const;

export class Webhooks {
  readonly #groups: readonly GroupWebhook[];

  constructor(parts: WebhooksParts) {
    const { calls, checks, collect, config, logger, meters, proto } = parts;
    const shared: WebhookParts = {
      ...{ calls, collect, config, logger, meters },
      watchChecks: proto.method(WATCH_CHECKS_PATH),
      delivered: (leases) => checks.delivered(leases),
      end: endThrough(parts),
    };
    this.#groups = Object.entries(config.webhooks).map(
      ([group, webhook]) => new GroupWebhook(group, webhook, shared),
    );
  }

  start(): void {
    for (const group of this.#groups) group.collect();
  }

  close(): void {
    for (const group of this.#groups) group.close();
  }
}

/** As a producer of the group would send it. */
function endThrough({ calls, config, proto, transactions }: WebhooksParts): WebhookParts['end'] {
  const method = proto.method(END_PATH);
  return (producerGroup, id, outcome, done) => {
    const fields = { producer_group: producerGroup, transaction_id: id };
    const request = method.requestSerialize({ ...fields, decision: DECISIONS[outcome] });
    const call = calls.open(config.defaultCallTimeoutMs, OWN_CALL, (error) => done(error));
    try {
      transactions.end(call, request, call.finish);
    } catch (error) {
      call.finish(toCallError(error), undefined);
    }
  };
}
