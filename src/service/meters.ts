/**
 * What the service says of its work while it does it, once per request or batch and never per
 * message. What can be read when somebody asks is not said here (`Service.stats`).
 */

import type { QuotaName } from '../cluster/quota-api.ts';

export interface CallMeter {
  /** `ok`, or the reason of the error. */
  answered(outcome: string, durationMs: number): void;
}

export interface ServiceMeters {
  /** For the calls of clients to one method; asked for once, not per call. */
  of(path: string): CallMeter;
  /** This node leads, and a Produce is in the log; not what was found to be a repetition. */
  stored(messages: number, bytes: number): void;
  /** This node leads, and read messages for a Fetch or a subscription. */
  fetched(messages: number, bytes: number): void;
  /** To a subscriber of this node. */
  pushed(messages: number, bytes: number): void;
  /** Check-backs that reached a producer. */
  checked(count: number): void;
  webhookAnswered(outcome: WebhookOutcome): void;
  /** Somebody was refused, or a subscription has to wait, because of a quota. */
  quotaReached(quota: QuotaName): void;
  /** A client did not come as far as a call. */
  connectionRefused(why: ConnectionRefusal): void;
}

export const CONNECTION_REFUSALS = ['maxConnections', 'maxConnectionsPerAddress', 'tls'] as const;
export type ConnectionRefusal = (typeof CONNECTION_REFUSALS)[number];

/** `FAILED`: no answer came, so nobody was asked. */
export const WEBHOOK_OUTCOMES = ['COMMIT', 'ROLLBACK', 'UNKNOWN', 'FAILED'] as const;
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];

export const NO_METERS: ServiceMeters = Object.freeze({
  of: () => ({ answered() {} }),
  stored() {},
  fetched() {},
  pushed() {},
  checked() {},
  webhookAnswered() {},
  quotaReached() {},
  connectionRefused() {},
});
