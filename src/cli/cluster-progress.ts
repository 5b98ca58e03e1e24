/**
 * Waits, with a line for each step, until a change of the cluster is done. It only looks: whoever
 * stops the waiting (Ctrl-C) does not stop the change.
 */
import type { ClusterDescription, Holdfast } from '../client/index.ts';
import { HoldfastError } from '../client/index.ts';

const LOOK_EVERY_MS = 500;

type Shard = ClusterDescription['shards'][number];

/** Says how far it is; undefined = done. */
export type Look = (cluster: ClusterDescription) => string | undefined;

export async function waitFor(client: Holdfast, look: Look): Promise<void> {
  let said = '';
  for (;;) {
    const text = await ask(client, look);
    if (text === undefined) return;
    if (text !== said) console.error(`  ${text}`);
    said = text;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** A node that went away in between is no reason to give up the waiting. */
async function ask(client: Holdfast, look: Look): Promise<string | undefined> {
  try {
    return look(await client.admin.describeCluster());
  } catch (error) {
    if (!(error instanceof HoldfastError) || !error.retryable) throw error;
    return `waiting for the cluster to answer: ${error.message}`;
  }
}

/** Every shard is where it shall be. */
export function unplaced({ shards }: ClusterDescription): readonly Shard[] {
  return shards.filter(({ placement }) => placement.version !== placement.placedVersion);
}

/** Such as `shards in place: 5 of 13 (moving: 0, 2, 7…)`. */
export function progressText(cluster: ClusterDescription): string {
  const moving = unplaced(cluster);
  const total = cluster.shards.length;
  const ids = moving.slice(0, 6).map(({ id }) => id);
  const more = moving.length > ids.length ? ', …' : '';
  return `shards in place: ${total - moving.length} of ${total} (moving: ${ids.join(', ')}${more})`;
}
