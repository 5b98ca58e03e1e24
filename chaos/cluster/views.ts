/** What nodes say about their cluster, and what follows from all their words together. */
import type { ClusterDescription } from '../workload/methods.ts';

/** A node that does not answer has no view. */
export type View = ClusterDescription | undefined;

/** By shard; 0 = nobody. */
export type Leaders = ReadonlyMap<number, number>;

/** Everybody answers, sees all others, and knows the same leader of every shard. */
export function agree(views: readonly View[]): views is readonly ClusterDescription[] {
  const first = views[0];
  if (first === undefined || first.shards.length === 0) return false;
  return views.every(
    (view) =>
      view !== undefined &&
      view.nodes.length === views.length &&
      view.nodes.every(({ up, pid }) => up && pid > 0) &&
      view.shards.length === first.shards.length &&
      view.shards.every(({ leader }, i) => leader > 0 && leader === first.shards[i]?.leader),
  );
}

export function commitIndexes({ shards }: ClusterDescription): ReadonlyMap<number, number> {
  return new Map(shards.map((shard) => [shard.id, shard.commit_index]));
}

/** Every replica holds what was committed back then. */
export function levelWith(
  { shards }: ClusterDescription,
  floor: ReadonlyMap<number, number>,
): boolean {
  return shards.every(({ id, replicas }) =>
    replicas.every((replica) => replica.match_index >= (floor.get(id) ?? 0)),
  );
}

/** Per shard the leader of the newest term that anybody knows. */
export function newestLeaders(views: readonly View[]): Leaders {
  const newest = new Map<number, { readonly leader: number; readonly term: number }>();
  for (const { id, leader, term } of views.flatMap((view) => view?.shards ?? [])) {
    const known = newest.get(id);
    if (known === undefined || term > known.term || known.leader === 0) {
      newest.set(id, { leader, term });
    }
  }
  return new Map([...newest].map(([id, { leader }]) => [id, leader]));
}
