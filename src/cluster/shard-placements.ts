/** Where every shard shall live, in memory and as rows `placement/<shard>` of the table 'meta'. */
import type { NodeId, ReplicaAddress, ReplicaId, ShardId } from '../../raft/types.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { ShardPlacement } from './api.ts';
import { type Birth, birthPlacements } from './birth-placement.ts';
import {
  asRecord,
  count,
  encodeVersionedJson,
  type JsonRecord,
  MetaFormatError,
  text,
  uint,
} from './meta-codec.ts';

export const PLACEMENT_KEY_PREFIX = 'placement/';

/** Nodes that a shard's replicas shall be on. */
export interface Wanted {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

export class ShardPlacements {
  #all: ShardPlacement[] = [];

  reset(birth: Birth): void {
    this.#all = birthPlacements(birth);
  }

  loadRow(fields: JsonRecord): void {
    const placement = readPlacement(fields);
    if (this.get(placement.shard) === undefined) throw new MetaFormatError('no such shard');
    this.#all[placement.shard] = placement;
  }

  all(): readonly ShardPlacement[] {
    return this.#all;
  }

  get(shard: ShardId): ShardPlacement | undefined {
    return this.#all[shard];
  }

  isRetired(shard: ShardId, replica: ReplicaId): boolean {
    const placement = this.#all[shard];
    if (placement === undefined || replica >= placement.nextReplica) return false;
    return !present(placement).some((one) => one.replica === replica);
  }

  holdsAny(node: NodeId, shards: 'data' | 'all'): boolean {
    const looked = shards === 'all' ? this.#all : this.#all.slice(1);
    return looked.some((placement) => present(placement).some((one) => one.node === node));
  }

  /** A new version when that changes a replica; otherwise nothing. */
  want(
    shard: ShardId,
    wanted: Wanted,
    incarnationOf: (node: NodeId) => string,
    out: StateWriter,
  ): void {
    const before = this.#all[shard]!;
    if (sameNodes(before.voters, wanted.voters) && sameNodes(before.learners, wanted.learners)) {
      return;
    }
    let { nextReplica } = before;
    const known = present(before);
    const place = (node: NodeId): ReplicaAddress => {
      const incarnation = incarnationOf(node);
      // One that may still be in the configuration goes on: its node has dropped nothing yet.
      const old = known.findLast((one) => one.node === node && one.incarnation === incarnation);
      if (old !== undefined) return old;
      nextReplica += 1;
      return { replica: nextReplica - 1, node, incarnation };
    };
    const voters = wanted.voters.map(place);
    const learners = wanted.learners.map(place);
    this.#putVersion({ ...before, voters, learners, nextReplica }, known, out);
  }

  /** The replica's successor lives on the same node under a new id. */
  replace(shard: ShardId, replica: ReplicaId, out: StateWriter): boolean {
    const before = this.#all[shard]!;
    const successor = (one: ReplicaAddress) =>
      one.replica === replica ? { ...one, replica: before.nextReplica } : one;
    const voters = before.voters.map(successor);
    const learners = before.learners.map(successor);
    const unchanged = [...before.voters, ...before.learners];
    if (!unchanged.some((one) => one.replica === replica)) return false;
    const nextReplica = before.nextReplica + 1;
    this.#putVersion({ ...before, voters, learners, nextReplica }, present(before), out);
    return true;
  }

  setLeader(shard: ShardId, leader: NodeId, out: StateWriter): void {
    const before = this.#all[shard]!;
    if (before.leader !== leader) this.#put({ ...before, leader }, out);
  }

  /** False for a version that is not the newest. */
  placed(shard: ShardId, version: number, out: StateWriter): boolean {
    const before = this.#all[shard];
    if (before?.version !== version) return false;
    if (before.placedVersion !== version) {
      this.#put({ ...before, placedVersion: version, leaving: [] }, out);
    }
    return true;
  }

  /** `known`: what the versions so far may have brought into the configuration. */
  #putVersion(next: ShardPlacement, known: readonly ReplicaAddress[], out: StateWriter): void {
    const stays = new Set([...next.voters, ...next.learners].map(({ replica }) => replica));
    const leaving = known.filter(({ replica }) => !stays.has(replica));
    this.#put({ ...next, version: next.version + 1, leaving }, out);
  }

  #put(placement: ShardPlacement, out: StateWriter): void {
    this.#all[placement.shard] = placement;
    const key = `${PLACEMENT_KEY_PREFIX}${placement.shard}`;
    out.put('meta', new Uint8Array(Buffer.from(key, 'utf8')), encodeVersionedJson(placement));
  }
}

/** Every replica that may be in the shard's configuration, now or later. */
function present({ voters, learners, leaving }: ShardPlacement): ReplicaAddress[] {
  return [...leaving, ...voters, ...learners];
}

function sameNodes(replicas: readonly ReplicaAddress[], nodes: readonly NodeId[]): boolean {
  if (replicas.length !== nodes.length) return false;
  return replicas.every(({ node }) => nodes.includes(node));
}

function readPlacement(fields: JsonRecord): ShardPlacement {
  return {
    shard: uint(fields, 'shard'),
    version: uint(fields, 'version'),
    voters: readReplicas(fields.voters),
    learners: readReplicas(fields.learners),
    leader: count(fields, 'leader'),
    nextReplica: count(fields, 'nextReplica'),
    placedVersion: uint(fields, 'placedVersion'),
    leaving: readReplicas(fields.leaving),
  };
}

function readReplicas(value: unknown): ReplicaAddress[] {
  if (!Array.isArray(value)) throw new MetaFormatError('not a list of replicas');
  return value.map((one) => {
    const fields = asRecord(one);
    return {
      replica: count(fields, 'replica'),
      node: count(fields, 'node'),
      incarnation: text(fields, 'incarnation'),
    };
  });
}
