/** Opens what a node keeps on disk: the commit log first, then the state that derives from it. */
import { join } from 'node:path';
import type { RecoveredShard, ShardId } from '../raft/types.ts';
import {
  type CommitLog,
  type CommitLogOptions,
  closeCommitLog,
  openCommitLog,
} from '../storage/commit-log.ts';
import { type Files, nodeFiles } from '../storage/files.ts';
import type { LevelState, LoadedShard } from '../storage/level-state.ts';
import { openState } from '../storage/open-state.ts';
import { condemnState } from '../storage/state-directory.ts';
import { SHORT_STARTS_MAX, StateStarts } from '../storage/state-starts.ts';
import { contentOf } from './cluster/birth.ts';
import { initialShardStates, missingAtBirth } from './cluster/first-configuration.ts';
import { type Identity, isLogBorn, markLogBorn } from './cluster/identity.ts';
import type { NodeConfig } from './config.ts';
import { Failure } from './failure.ts';

/**
 * What leaders elsewhere may have on its way to this node's log, beyond what it admits itself: the
 * in-flight window of every shard (raft `maxInflightBytes`).
 */
const FOLLOWING_BYTES_MAX = 256 * 1024 * 1024;

export interface NodeStorage {
  readonly log: CommitLog;
  readonly state: LevelState;
  readonly recovered: readonly RecoveredShard[];
  readonly loaded: ReadonlyMap<ShardId, LoadedShard>;
  readonly checkpointDirectory: string;
  /** Where log and checkpoints lie. */
  readonly files: Files;
  /** Lines for the operator about what was found. */
  readonly report: readonly string[];
  close(): Promise<void>;
}

export async function openNodeStorage(
  config: NodeConfig,
  identity: Identity,
  onFatal: (error: Error) => void,
  onFlushTimed: (durationMs: number) => void = () => undefined,
): Promise<NodeStorage> {
  const log = await openLog(config, identity, { onFatal, onFlushTimed });
  const checkpointDirectory = join(config.data, 'checkpoints');
  const directory = join(config.data, 'state');
  const starts = new StateStarts(join(config.data, 'state-starts'));
  const doubts: string[] = [];
  if (starts.begin()) {
    doubts.push(`the last ${SHORT_STARTS_MAX} starts soon ended: LevelDB's files are not believed`);
    condemnState(directory);
  }
  const opened = await openState({
    directory,
    identity: `${identity.clusterId}/${identity.node}/${identity.incarnation}`,
    logEnds: new Map(log.recovered.map((found) => [found.shard, endsOf(found)])),
    checkpointDirectory,
    onFatal,
  });
  return {
    log,
    state: opened.state,
    recovered: log.recovered,
    loaded: opened.shards,
    checkpointDirectory,
    files: nodeFiles,
    report: [...log.report.damage, ...doubts, ...opened.report],
    async close() {
      starts.end();
      await opened.state.close();
      await closeCommitLog(log);
    },
  };
}

function endsOf(found: RecoveredShard): { start: number; last: number } {
  return { start: found.state.logStart.index, last: found.lastIndex };
}

/** At birth the log gets the first configuration of each shard, once in its life. */
async function openLog(
  config: NodeConfig,
  identity: Identity,
  events: Pick<CommitLogOptions, 'onFatal' | 'onFlushTimed'>,
): Promise<CommitLog> {
  const born = isLogBorn(config.data);
  const directory = join(config.data, 'log');
  if (born) assertLogThere(identity.node, directory);
  const createShards = born
    ? []
    : [...initialShardStates(identity)].map(([shard, state]) => ({ shard, state }));
  const log = await openCommitLog({
    directory,
    ...events,
    createShards,
    // Raft keeps still with what is damaged, and gets it from the other replicas.
    onDamage: 'isolate',
    limits: { ...config.log, maxQueuedBytes: config.log.maxQueuedBytes + FOLLOWING_BYTES_MAX },
  });
  // Those that left this node are in the log, too.
  const known = [...log.recovered.map(({ shard }) => shard), ...log.tombstones.keys()];
  missingAtBirth(identity, born, known);
  if (!born) markLogBorn(config.data);
  return log;
}

/** Also of a node that was added and held no shard yet: it may have voted since. */
function assertLogThere(node: number, directory: string): void {
  if (contentOf(directory).length > 0) return;
  throw new Failure(
    `node ${node} has lost its commit log: ${directory} is empty, but was in use. Put it back, ` +
      'or remove the node from the cluster and add it again with an empty directory',
  );
}
