/**
 * How full the disks are that hold a shard: this node's by its own measure, the others' as they
 * said last. A node that is silent counts for nothing: nobody knows how full its disk is by now,
 * and room made elsewhere gives it none. Asked with every write, so what is known is put together
 * only when it changes.
 */
import type { NodeId, ShardId } from '../../raft/types.ts';
import type { DiskLevel, MetaView } from '../cluster/api.ts';
import { rank } from './disk-meter.ts';

export class DiskLevels {
  /** A disk, of whatever node, passed a mark upwards: there is room to be made. */
  onRise: () => void = () => undefined;
  readonly #node: NodeId;
  readonly #meta: Pick<MetaView, 'members' | 'placement'>;
  readonly #silent = new Set<NodeId>();
  #own: DiskLevel = 'low';
  /** Of nodes whose disk is not low; mostly empty. */
  #levels: ReadonlyMap<NodeId, DiskLevel> = new Map();

  constructor(node: NodeId, meta: Pick<MetaView, 'members' | 'placement'>) {
    this.#node = node;
    this.#meta = meta;
  }

  get own(): DiskLevel {
    return this.#own;
  }

  setOwn(level: DiskLevel): void {
    this.#own = level;
    this.refresh();
  }

  setSilent(node: NodeId, isSilent: boolean): void {
    if (isSilent) this.#silent.add(node);
    else this.#silent.delete(node);
    this.refresh();
  }

  /** The metadata, or the own level, changed. */
  refresh(): void {
    const levels = new Map<NodeId, DiskLevel>();
    for (const { disk, node } of this.#meta.members()) {
      const isKnown = disk !== undefined && !this.#silent.has(node);
      if (isKnown && disk !== 'low') levels.set(node, disk);
    }
    if (this.#own === 'low') levels.delete(this.#node);
    else levels.set(this.#node, this.#own);
    const before = this.#levels;
    this.#levels = levels;
    const hasRisen = ([node, level]: readonly [NodeId, DiskLevel]): boolean =>
      rank(level) > rank(before.get(node) ?? 'low');
    if ([...levels].some(hasRisen)) this.onRise();
  }

  /** Of the fullest disk with a replica of the shard. */
  of(shard: ShardId): DiskLevel {
    let highest: DiskLevel = 'low';
    if (this.#levels.size === 0) return highest;
    for (const node of this.#nodesOf(shard)) {
      const level = this.#levels.get(node) ?? 'low';
      if (rank(level) > rank(highest)) highest = level;
    }
    return highest;
  }

  /** A node with a replica of the shard that has no room for more. */
  fullNode(shard: ShardId): NodeId | undefined {
    if (this.#levels.size === 0) return undefined;
    return this.#nodesOf(shard).find((node) => this.#levels.get(node) === 'full');
  }

  #nodesOf(shard: ShardId): NodeId[] {
    const placement = this.#meta.placement(shard);
    if (placement === undefined) return [];
    return [...placement.voters, ...placement.learners].map(({ node }) => node);
  }
}
