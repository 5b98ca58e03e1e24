/** DescribeCluster: each shard as its own leader sees it, put together from all nodes. */
import type { NodeId, ReplicaAddress } from '../../raft/types.ts';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../broker/feature-level.ts';
import type { ShardPlacement } from '../cluster/api.ts';
import { packageVersion } from '../package-root.ts';
import type { PeerNetwork } from '../peers/api.ts';
import type { ShardHost, ShardStatus } from '../shards/api.ts';
import { askNode } from './ask-node.ts';
import type { Call } from './call.ts';
import { encodeJson } from './internal-methods.ts';
import type { NodeMethod } from './methods.ts';

const VERSION = packageVersion();

interface NodeReport {
  readonly node: NodeId;
  readonly pid: number;
  readonly shards: readonly ShardStatus[];
  /** Of the build that the node runs; builds that knew no levels say neither. */
  readonly version?: string;
  readonly newestLevel?: number;
}

/** What a member runs; no level = it did not answer. */
export interface MemberBuild {
  readonly node: NodeId;
  readonly newestLevel: number | undefined;
}

export class ClusterStatus {
  readonly method: NodeMethod;
  readonly #host: ShardHost;
  readonly #peers: PeerNetwork;
  readonly #clusterId: string;
  readonly #timeoutMs: number;

  constructor(host: ShardHost, peers: PeerNetwork, clusterId: string, timeoutMs: number) {
    this.#host = host;
    this.#peers = peers;
    this.#clusterId = clusterId;
    this.#timeoutMs = timeoutMs;
    this.method = {
      name: '.cluster/status',
      perform: (_call, _body, done) => done(undefined, encodeJson(this.#ownReport())),
    };
  }

  /** Best effort: a node that does not answer in time is shown without its part. */
  async describe(call: Call): Promise<object> {
    const reports = await this.#reports(call);
    const byNode = new Map(reports.map((report) => [report.node, report]));
    const meta = this.#host.meta();
    return {
      cluster_id: this.#clusterId,
      node: this.#host.node,
      nodes: meta.members().map(({ node: id, grpcAddress, state, disk }) => ({
        id,
        address: grpcAddress,
        pid: byNode.get(id)?.pid ?? 0,
        up: id === this.#host.node || this.#peers.isUp(id),
        state,
        disk: disk ?? 'low',
        version: byNode.get(id)?.version ?? '',
        newest_level: levelOf(byNode.get(id)) ?? 0,
      })),
      feature_level: meta.featureLevel(),
      shards: mergedShards(reports, meta.placements()),
    };
  }

  /** Of every member. */
  async builds(call: Call): Promise<readonly MemberBuild[]> {
    const reports = await this.#reports(call);
    return this.#host
      .meta()
      .members()
      .map(({ node }) => {
        const report = reports.find((one) => one.node === node);
        return { node, newestLevel: levelOf(report) };
      });
  }

  async #reports(call: Call): Promise<readonly NodeReport[]> {
    const answers = await Promise.all(this.#peers.peers().map((node) => this.#ask(call, node)));
    return [this.#ownReport(), ...answers.filter((answer) => answer !== undefined)];
  }

  #ownReport(): NodeReport {
    const build = { version: VERSION, newestLevel: NEWEST_LEVEL };
    return { node: this.#host.node, pid: process.pid, shards: this.#host.status(), ...build };
  }

  #ask(call: Call, node: NodeId): Promise<NodeReport | undefined> {
    return askNode(this.#peers, call, node, this.method, this.#timeoutMs);
  }
}

function levelOf(report: NodeReport | undefined): number | undefined {
  return report === undefined ? undefined : (report.newestLevel ?? FIRST_LEVEL);
}

/** Per shard the newest claim to lead it, or else the newest view of it. */
export function mergedShards(
  reports: readonly NodeReport[],
  placements: readonly ShardPlacement[],
): object[] {
  const best = new Map<number, { status: ShardStatus; leads: boolean }>();
  const suspects = new Set<string>();
  for (const report of reports) {
    for (const status of report.shards) {
      if (status.suspect) suspects.add(`${status.shard}/${report.node}`);
      const leads = status.leader === report.node;
      const known = best.get(status.shard);
      if (known === undefined || isBetter({ status, leads }, known)) {
        best.set(status.shard, { status, leads });
      }
    }
  }
  return [...best.values()]
    .sort((a, b) => a.status.shard - b.status.shard)
    .map(({ status }) => shardFields(status, placements[status.shard], suspects));
}

function shardFields(
  status: ShardStatus,
  placement: ShardPlacement | undefined,
  suspects: ReadonlySet<string>,
): object {
  const { shard, leader, term, commitIndex, appliedIndex } = status;
  const names = (list: readonly ReplicaAddress[] | undefined, replica: number) =>
    list?.some((one) => one.replica === replica) === true;
  return {
    id: shard,
    leader: leader ?? 0,
    term,
    commit_index: commitIndex,
    applied_index: appliedIndex,
    replicas: status.replicas.map(({ node, replica, matchIndex, role }) => {
      const votes = names(placement?.voters, replica);
      return {
        node,
        match_index: matchIndex,
        role: role === 'voter' ? 'follower' : role,
        replica,
        catching_up: role === 'learner' && votes,
        leaving: placement !== undefined && !votes && !names(placement.learners, replica),
        suspect: suspects.has(`${shard}/${node}`),
      };
    }),
    placement: placement === undefined ? null : placementFields(placement),
    undecided_transactions: (status.counts?.transactions ?? 0) - (status.counts?.parked ?? 0),
    parked_transactions: status.counts?.parked ?? 0,
  };
}

function placementFields(placement: ShardPlacement): object {
  const nodes = (list: readonly ReplicaAddress[]) => list.map(({ node }) => node);
  return {
    version: placement.version,
    placed_version: placement.placedVersion,
    voters: nodes(placement.voters),
    learners: nodes(placement.learners),
    leader: placement.leader,
  };
}

interface Claim {
  readonly status: ShardStatus;
  readonly leads: boolean;
}

function isBetter(claim: Claim, known: Claim): boolean {
  if (claim.status.term !== known.status.term) return claim.status.term > known.status.term;
  return claim.leads && !known.leads;
}
