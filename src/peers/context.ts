import type { NodeId } from '../../raft/types.ts';
import type { NodeIdentity } from './api.ts';
import type { Deadlines } from './deadlines.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import type { Refusal, RefusalReason } from './handshake.ts';
import { ConnectionKind } from './handshake.ts';
import type { PeerLimits } from './limits.ts';
import type { OutboxLimits } from './outbox.ts';
import type { Resolver } from './resolver.ts';
import type { HostPort, PeerTransport } from './transport.ts';

export interface PeerLogger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const LOG_INTERVAL_MS = 5_000;

/** Counts what was refused and logs it, one line per reason and interval. */
export class Refusals {
  readonly counts: Partial<Record<RefusalReason, number>> = {};
  readonly #logger: PeerLogger;
  readonly #nowMs: () => number;
  /** Bounded: one entry per reason and direction. */
  readonly #logged = new Map<string, { atMs: number; suppressed: number }>();

  constructor(logger: PeerLogger, nowMs: () => number) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  /** `what` begins the line, such as `refused a connection from 127.0.0.1:4711`. */
  add(direction: 'in' | 'out', what: string, refusal: Refusal): void {
    const { reason, detail } = refusal;
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    const key = `${direction} ${reason}`;
    const nowMs = this.#nowMs();
    const last = this.#logged.get(key);
    if (last !== undefined && nowMs - last.atMs < LOG_INTERVAL_MS) {
      last.suppressed += 1;
      return;
    }
    this.#logged.set(key, { atMs: nowMs, suppressed: 0 });
    const more =
      last !== undefined && last.suppressed > 0 ? ` (${last.suppressed} more like it)` : '';
    this.#logger.warn(`handshake: ${what}: ${reason}: ${detail}${more}`);
  }
}

/** What all connections of one node share. */
export interface PeerContext {
  readonly identity: NodeIdentity;
  readonly limits: PeerLimits;
  readonly transport: PeerTransport;
  readonly resolver: Resolver;
  readonly gatekeeper: Gatekeeper;
  readonly refusals: Refusals;
  readonly deadlines: Deadlines;
  readonly logger: PeerLogger;
  /** Every flush is synchronous, so one writer serves all connections. */
  readonly writer: FrameWriter;
  /** Uniform in [0, 1): the jitter of redialling. */
  readonly random: () => number;
  addressOf(node: NodeId): HostPort | undefined;
  onRefused(by: NodeId, refusal: Refusal): void;
}

export function outboxLimits(limits: PeerLimits, kind: ConnectionKind): OutboxLimits {
  const { maxFlushBytes, maxQueuedBulkBytes, maxQueuedControlBytes } = limits;
  const bulk = kind === ConnectionKind.bulk;
  return { maxFlushBytes, maxQueuedBytes: bulk ? maxQueuedBulkBytes : maxQueuedControlBytes };
}

export function maxFrameBytes(limits: PeerLimits, kind: ConnectionKind): number {
  return kind === ConnectionKind.bulk ? limits.maxFrameBytes : limits.maxControlFrameBytes;
}

export function maxSilenceMs(limits: PeerLimits, kind: ConnectionKind): number {
  return kind === ConnectionKind.bulk ? limits.maxSilenceBulkMs : limits.maxSilenceControlMs;
}
