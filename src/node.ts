/**
 * The composition root: builds one node from its parts and decides the order of start and stop.
 * Storage before Raft, Raft before the network, the network before the service; stop is the
 * reverse.
 */
import type { Logger } from 'pino';
import type { RaftDriver } from '../raft/driver.ts';
import { lockDirectory } from '../storage/lock.ts';
import { formatAddress } from './address.ts';
import type { Identity } from './cluster/identity.ts';
import { KnownPeers } from './cluster/known-peers.ts';
import { enterDirectory } from './cluster/node-directory.ts';
import { PeerLives } from './cluster/peer-lives.ts';
import { raiseLevels } from './cluster/raise-levels.ts';
import { keepRegistered } from './cluster/registration.ts';
import { DiskReport } from './cluster/report-disk.ts';
import { reportSuspects, type SuspectReplica, suspectsAmong } from './cluster/report-suspects.ts';
import { askAboutStrangers, followMembers, onceRemoved } from './cluster/run-members.ts';
import { runPlacement } from './cluster/run-placement.ts';
import { runTopicReconciler } from './cluster/run-reconciler.ts';
import type { RunningNode } from './cluster/running-node.ts';
import type { NodeConfig } from './config.ts';
import { openNodeAuth } from './node-auth.ts';
import { openNodeStorage } from './node-storage.ts';
import { openNodeTls } from './node-tls.ts';
import { startObserver } from './observe/observer.ts';
import type { PeerNetwork } from './peers/api.ts';
import { createPeerNetwork, type RunningPeerNetwork } from './peers/network.ts';
import { serviceConfig } from './service/config.ts';
import { createService, type Service } from './service/service.ts';
import { createShards, type NodeShards } from './shards/create-shards.ts';
import { measureDisk } from './shards/disk-meter.ts';
import { DueSweeper } from './shards/due-sweeper.ts';
import { LogKeeper } from './shards/log-keeper.ts';
import { RetentionReports } from './shards/retention-reports.ts';

/** Whatever ends the process: the first failed write or sync, or a broken invariant. */
function fatal(logger: Logger, error: Error): never {
  logger.fatal({ err: error }, 'ends');
  throw error;
}

export async function startNode(config: NodeConfig, logger: Logger): Promise<RunningNode> {
  const directory = enterDirectory(config, lockDirectory);
  const { identity, bootCounter } = directory;
  // Thrown from an event, it reaches `main.ts` as an uncaught exception: the process ends.
  const onFatal = (error: Error): void => void setImmediate(() => fatal(logger, error));
  const tls = await openNodeTls(config.tls, identity, logger);
  const auth = await openNodeAuth(config.auth, logger);
  const observer = await startObserver(config, identity);
  const { meters, spans } = observer;
  const storage = await openNodeStorage(config, identity, onFatal, meters.flushed);
  logger.info({ recovery: storage.log.report, boot: bootCounter }, 'storage open');
  for (const line of storage.report) logger.warn(`storage: ${line}`);
  const shards = createShards(config, identity, storage, logger, onFatal);
  const { host, driver } = shards;
  let service: Service | undefined;
  const known = new KnownPeers(identity, config.peers, shards.meta);
  const peers = createPeers(config, identity, bootCounter, logger, driver, known, {
    transport: tls.transport,
    onCall: (call) => service?.onPeerCall(call),
    onRefused: onceRemoved((by) => {
      logger.error(`removed from the cluster, says node ${by}: this node serves nobody, stop it`);
      service?.retire();
    }),
  });
  shards.connect(peers);
  service = createService({
    host,
    peers,
    logger,
    ...{ meters, spans, birth: identity, credentials: tls.credentials, backups: shards.backups },
    retention: new RetentionReports({ ...shards, storage, config: config.retention }),
    auth: auth?.options,
    config: serviceConfig({ ...config.limits, ...config.transactions }),
  });
  askAboutStrangers(known, peers);
  const suspects = suspectsAmong(storage.recovered);
  const tasks = runClusterTasks({ config, identity, shards, service, peers, suspects, logger });
  const keeper = new LogKeeper({ ...shards, storage, config: config.retention, logger, onFatal });
  const { incarnation } = identity;
  const disk = createDiskReport(config, shards, service, incarnation, logger);
  shards.disks.onRise = () => keeper.hurry();
  await disk.start();
  observer.watch({ ...shards, config, keeper, peers, service, storage });
  await peers.start();
  driver.start();
  const { port } = await service.start(config.listen.grpc);
  keeper.start();
  const sweeper = new DueSweeper(host);
  return {
    grpcPort: port,
    peerPort: peers.address().port,
    httpPort: observer.httpPort,
    host,
    async stop() {
      disk.stop();
      tasks.stop();
      sweeper.stop();
      await keeper.stop();
      await service.stop(STOP_GRACE_MS);
      driver.stop();
      await shards.snapshots.close();
      await peers.close();
      await storage.close();
      tls.stop();
      auth?.stop();
      await observer.close();
      directory.release();
    },
  };
}

/** What a node does for the cluster as a whole. */
export function runClusterTasks(parts: {
  readonly config: Pick<NodeConfig, 'advertise'>;
  readonly identity: Identity;
  readonly shards: NodeShards;
  readonly service: Service;
  readonly peers: PeerNetwork & Pick<RunningPeerNetwork, 'membersChanged'>;
  readonly suspects: readonly SuspectReplica[];
  readonly logger: Logger;
}): { stop(): void } {
  const { config, identity, logger, peers, service, shards, suspects } = parts;
  const { driver, highestOf, host, world } = shards;
  const { startTimer } = world;
  const timers = { nowMs: world.clock.nowMs, startTimer };
  const { incarnation } = identity;
  const tasks = [
    runTopicReconciler(host, shards.meta, service),
    keepRegistered(host, service, addressesOf(config, identity)),
    reportSuspects(host, service, suspects, { incarnation, highestOf }, startTimer),
    followMembers(host, peers),
    raiseLevels(host),
    runPlacement({ host, driver, peers, proposer: service, logger, timers }),
  ];
  return {
    stop() {
      for (const task of tasks.reverse()) task.stop();
    },
  };
}

function createDiskReport(
  { data, retention }: NodeConfig,
  { disks, host }: NodeShards,
  proposer: Service,
  incarnation: string,
  logger: Logger,
): DiskReport {
  const measure = () => measureDisk(data, retention.maxDataBytes);
  const levels = disks;
  return new DiskReport({
    ...{ host, levels, proposer, incarnation, marks: retention, measure, logger },
  });
}

function addressesOf({ advertise }: Pick<NodeConfig, 'advertise'>, { incarnation }: Identity) {
  const grpcAddress = formatAddress(advertise.grpc);
  return { incarnation, grpcAddress, peerAddress: formatAddress(advertise.peer) };
}

/** Calls under way get this long to end when the node is asked to stop. */
const STOP_GRACE_MS = 3000;

function createPeers(
  config: NodeConfig,
  identity: Identity,
  bootCounter: number,
  logger: Logger,
  driver: RaftDriver,
  known: KnownPeers,
  events: Pick<Parameters<typeof createPeerNetwork>[0], 'transport' | 'onCall' | 'onRefused'>,
): RunningPeerNetwork {
  const { clusterId, node, incarnation } = identity;
  const lives = new PeerLives(config.data);
  return createPeerNetwork({
    identity: { clusterId, node, incarnation, bootCounter },
    listen: config.listen.peer,
    directory: known,
    seenLives: lives.seen,
    onPeerLife: (peer, life) => lives.remember(peer, life),
    logger,
    onMessages: (from, messages) => driver.receive(from, messages),
    onPeerUp: (peer) => driver.peerUp(peer),
    onPeerReset: (peer) => driver.peerReset(peer),
    ...events,
  });
}
