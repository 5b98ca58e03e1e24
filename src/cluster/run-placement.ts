/** Gives the placement reconciler its ports on a running node: driver, network, service. */
import type { ChangeOutcome, RaftDriver } from '../../raft/driver.ts';
import type { NodeId, ShardId } from '../../raft/types.ts';
import { startSystemTimer } from '../clock.ts';
import type { PeerNetwork } from '../peers/api.ts';
import type { ShardHost } from '../shards/api.ts';
import type { MetaResult } from './api.ts';
import { META_SHARD } from './birth-placement.ts';
import {
  type ChangeResult,
  type LedShard,
  type PlacementPorts,
  PlacementReconciler,
  type PlacementTimings,
} from './placement-reconciler.ts';
import type { MetaProposer } from './registration.ts';

type PlacementDriver = Pick<
  RaftDriver,
  | 'changeMembership'
  | 'isMembershipSettled'
  | 'isReady'
  | 'membership'
  | 'status'
  | 'transferLeadership'
  | 'whenMatched'
>;

export interface PlacementParts {
  readonly host: Pick<ShardHost, 'meta' | 'node' | 'onApplied' | 'onLeadership'>;
  readonly driver: PlacementDriver;
  readonly peers: Pick<PeerNetwork, 'isUp' | 'onPeerChange'>;
  readonly proposer: MetaProposer;
  readonly logger: { info(fields: object, text: string): void };
  /** Another clock than this machine's. */
  readonly timers?: PlacementTimers;
  readonly timings?: PlacementTimings;
}

type PlacementTimers = Pick<PlacementPorts, 'nowMs' | 'startTimer'>;

const SYSTEM_TIMERS: PlacementTimers = Object.freeze({
  nowMs: () => performance.now(),
  startTimer: startSystemTimer,
});

export function runPlacement(parts: PlacementParts): { stop(): void } {
  const { host, driver, peers } = parts;
  const ports: PlacementPorts = {
    placement: (shard) => host.meta().placement(shard),
    led: (shard) => ledShard(driver, shard),
    isUp: (node) => node === host.node || peers.isUp(node),
    change(shard, changes, replicas, done) {
      driver.changeMembership(shard, { changes, replicas }, (outcome) => {
        if (outcome.status === 'invalid') note(parts, shard, `refused: ${outcome.reason}`);
        done(changeResult(outcome));
      });
    },
    transfer(shard, to, done) {
      driver.transferLeadership(shard, to, ({ status }) => done(status === 'ok'));
    },
    whenMatched: (shard, replica, index, done) => driver.whenMatched(shard, replica, index, done),
    confirm(shard, version, done) {
      parts.proposer.proposeMeta({ type: 'confirmVersion', shard, version }, (error, result) =>
        done(error === undefined && (result as MetaResult | undefined)?.type === 'done'),
      );
    },
    report(shard, version, done) {
      parts.proposer.proposeMeta({ type: 'placed', shard, version }, (error, result) =>
        done(error === undefined && isTaken(result)),
      );
    },
    ...(parts.timers ?? SYSTEM_TIMERS),
    log: (shard, text) => note(parts, shard, text),
  };
  const reconciler = new PlacementReconciler(ports, parts.timings);
  const stops = [
    host.onLeadership((shard) => reconciler.leadershipChanged(shard)),
    host.onApplied((shard) => {
      if (shard === META_SHARD) reconciler.metaApplied();
      reconciler.applied(shard);
    }),
    peers.onPeerChange((node: NodeId, up) => reconciler.peerChanged(node, up)),
  ];
  return {
    stop() {
      for (const stop of stops) stop();
      reconciler.stop();
    },
  };
}

function note({ logger }: PlacementParts, shard: ShardId, text: string): void {
  logger.info({ shard }, text);
}

/** A stale report is answered by the newer placement, which wakes us by itself. */
function isTaken(result: unknown): boolean {
  return (result as MetaResult | undefined)?.type !== 'refused';
}

function changeResult({ status }: ChangeOutcome): ChangeResult {
  if (status === 'applied') return 'applied';
  return status === 'busy' ? 'busy' : 'failed';
}

function ledShard(driver: PlacementDriver, shard: ShardId): LedShard | undefined {
  if (!driver.isReady(shard)) return undefined;
  const { lastIndex, replicas } = driver.status(shard);
  const self = replicas.find(({ role }) => role === 'leader')?.replica;
  // A leader that its newest configuration leaves out: about to step down.
  if (self === undefined) return undefined;
  const matchOf = (replica: number) =>
    replicas.find((one) => one.replica === replica)?.matchIndex ?? 0;
  return {
    self,
    membership: driver.membership(shard),
    isSettled: driver.isMembershipSettled(shard),
    lastIndex,
    matchOf,
  };
}
