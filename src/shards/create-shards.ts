/**
 * Puts the shards of one node together: Raft driver, state machine, state store, snapshots, host.
 * What is left to the caller is the network (`connect`) and the start of the driver.
 */
import type { Logger } from 'pino';
import { DEFAULT_RAFT_CONFIG } from '../../raft/config.ts';
import { RaftDriver } from '../../raft/driver.ts';
import type { Transport } from '../../raft/ports.ts';
import type { ShardId } from '../../raft/types.ts';
import { createDataShard } from '../broker/data-shard.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import { systemWorld, type World } from '../clock.ts';
import type { Identity } from '../cluster/identity.ts';
import { createMetaState } from '../cluster/meta-state.ts';
import type { NodeConfig } from '../config.ts';
import type { NodeStorage } from '../node-storage.ts';
import type { RunningPeerNetwork } from '../peers/network.ts';
import { LocalBackupSource } from './backup-source.ts';
import { DiskLevels } from './disk-levels.ts';
import { Listeners } from './listeners.ts';
import { LocalShards } from './local-shards.ts';
import { driverEvents, LocalShardHost } from './shard-host.ts';
import { META_SHARD, type NewDataShard, ShardMachine } from './shard-machine.ts';
import { CheckpointSnapshots } from './snapshot-store.ts';
import { StateFlush } from './state-flush.ts';
import { QueueWaiters } from './waiters.ts';

/** What Raft says to other nodes, and of them. */
export type ShardNetwork = Transport & Pick<RunningPeerNetwork, 'setSilent'>;
export type NodeShards = ReturnType<typeof createShards>;

export function createShards(
  config: Pick<NodeConfig, 'limits' | 'log' | 'raft'>,
  identity: Identity,
  storage: NodeStorage,
  logger: Logger,
  onFatal: (error: Error) => void,
  world: World = systemWorld(),
) {
  const leadership = new Listeners<[ShardId]>();
  const applied = new Listeners<[ShardId]>();
  const waiters = new QueueWaiters(config.limits.maxLongPolls);
  const flush: StateFlush = new StateFlush(storage.state, {
    durableIndexOf: (shard) => driver.durableIndex(shard),
    durableLogStartOf: (shard) => storage.log.durableLogStart(shard),
    onRoom: () => driver.applyMore(),
  });
  const meta = createMetaState(identity);
  const disks = new DiskLevels(identity.node, meta);
  const newData = newDataShards(identity);
  const onApplied = (shard: ShardId) => applied.call(shard);
  const machine = new ShardMachine(meta, flush, waiters, onApplied, newData);
  const { checkpointDirectory: directory, files } = storage;
  const snapshots = new CheckpointSnapshots({ directory, files, machine, logger, onFatal });
  let network: ShardNetwork | undefined;
  const driver: RaftDriver = new RaftDriver({
    node: identity.node,
    config: { ...DEFAULT_RAFT_CONFIG, ...config.raft },
    store: storage.log,
    transport: { send: (to, lane, messages) => network?.send(to, lane, messages) },
    clock: world.clock,
    rng: world.random,
    stateMachine: machine,
    snapshots,
    events: driverEvents(flush, waiters, leadership, {
      onInvite: (_, invite) => local.invited(invite),
      onLiveness: (node, isAlive) => {
        network?.setSilent(node, !isAlive);
        disks.setSilent(node, !isAlive);
      },
    }),
    onFatal,
  });
  const local = new LocalShards({
    ...{ incarnation: identity.incarnation, log: storage.log, tombstones: storage.log.tombstones },
    ...{ driver, machine, flush, snapshots, meta, newData, logger, onFatal },
    onLeft: (shard) => leadership.call(shard),
  });
  local.open(storage.recovered, storage.loaded);
  applied.add((shard) => {
    if (shard !== META_SHARD) return;
    local.dropRetired();
    disks.refresh();
  });
  const host = new LocalShardHost({
    node: identity.node,
    shards: Array.from({ length: identity.dataShards + 1 }, (_, shard) => shard),
    maxQueuedBytes: config.log.maxQueuedBytes,
    ...{ driver, log: storage.log, machine, flush, waiters },
    ...{ meta, disks, leadership, applied, startTimer: world.startTimer },
  });
  const connect = (connected: ShardNetwork): void => {
    network = connected;
  };
  const backups = new LocalBackupSource(driver, snapshots, host.reads);
  const highestOf = (shard: ShardId) => local.highestOf(shard);
  const own = { driver, machine, flush, snapshots, meta, disks, world };
  return { ...own, host, highestOf, backups, connect };
}

/** Data shards as they were when the cluster was born. */
function newDataShards({ featureLevel }: Identity): NewDataShard {
  return (shard) => createDataShard(shard, DATA_SHARD_LIMITS, featureLevel);
}
