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
import { keepRegistered } from './cluster/registration.ts';
import { reportSuspects, suspectsAmong } from './cluster/report-suspects.ts';
import { askAboutStrangers, followMembers, onceRemoved } from './cluster/run-members.ts';
import { runPlacement } from './cluster/run-placement.ts';
import { runTopicReconciler } from './cluster/run-reconciler.ts';
import type { RunningNode } from './cluster/running-node.ts';
import type { NodeConfig } from './config.ts';
import { openNodeStorage } from './node-storage.ts';
import { openNodeTls } from './node-tls.ts';
import { createPeerNetwork, type RunningPeerNetwork } from './peers/network.ts';
import { serviceConfig } from './service/config.ts';
import { createService, type Service } from './service/service.ts';
import { createShards } from './shards/create-shards.ts';
import { DueSweeper } from './shards/due-sweeper.ts';
import { LogKeeper } from './shards/log-keeper.ts';

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
  const storage = await openNodeStorage(config, identity, onFatal);
  logger.info({ recovery: storage.log.report, boot: bootCounter }, 'storage open');
  for (const line of storage.report) logger.warn(line);
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
    ...{ birth: identity, credentials: tls.credentials },
    config: serviceConfig({ ...config.limits, ...config.transactions }),
  });
  const reconciler = runTopicReconciler(host, shards.meta, service);
  const registration = keepRegistered(host, service, {
    incarnation: identity.incarnation,
    grpcAddress: formatAddress(config.advertise.grpc),
    peerAddress: formatAddress(config.advertise.peer),
  });
  const suspects = suspectsAmong(storage.recovered);
  const { incarnation } = identity;
  const { highestOf } = shards;
  const suspicion = reportSuspects(host, service, suspects, { incarnation, highestOf });
  askAboutStrangers(known, peers);
  const members = followMembers(host, peers);
  const placement = runPlacement({ host, driver, peers, proposer: service, logger });
  await peers.start();
  driver.start();
  const { port } = await service.start(config.listen.grpc);
  const keeper = new LogKeeper({ ...shards, storage, config: config.retention, logger, onFatal });
  keeper.start();
  const sweeper = new DueSweeper(host);
  return {
    grpcPort: port,
    peerPort: peers.address().port,
    host,
    async stop() {
      placement.stop();
      suspicion.stop();
      members.stop();
      registration.stop();
      reconciler.stop();
      sweeper.stop();
      await keeper.stop();
      await service.stop(STOP_GRACE_MS);
      driver.stop();
      await shards.snapshots.close();
      await peers.close();
      await storage.close();
      tls.stop();
      directory.release();
    },
  };
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
