/** Somebody who runs the cluster by its commands: machines join, leave, are replaced. */
import type { MetaCommand, MetaResult } from '../cluster/api.ts';
import { META_SHARD } from '../cluster/birth-placement.ts';
import { wipe } from './churn.ts';
import type { Metadata } from './metadata.ts';
import type { SimNode } from './node.ts';
import type { Stage } from './stage.ts';

/** How often a machine is chosen that does not belong to the cluster, where there is one. */
const NEWCOMER_SHARE = 0.5;
const REMOVAL_SHARE = 0.6;

export function operate(stage: Stage, metadata: Metadata): void {
  const { cluster, random } = stage;
  const command = draw(stage, metadata, pick(stage, metadata));
  const knowing = cluster.nodes.filter(({ driver }) => driver?.leaderOf(META_SHARD) !== undefined);
  if (knowing.length === 0 || command === undefined) return;
  metadata.call(random.pick(knowing), command, (error, result) => {
    const how = error === undefined ? (result as MetaResult).type : 'unanswered';
    cluster.faults.count(`operator ${command.type} ${how}`);
  });
}

function pick({ cluster, random }: Stage, { view }: Metadata): SimNode {
  const strange = cluster.nodes.filter((node) => view.member(node.id) === undefined);
  return random.pick(strange.length > 0 && random.chance(NEWCOMER_SHARE) ? strange : cluster.nodes);
}

function draw(stage: Stage, metadata: Metadata, node: SimNode): MetaCommand | undefined {
  const { cluster, random } = stage;
  const { view } = metadata;
  const { id, incarnation } = node;
  const member = view.member(id);
  if (member === undefined) {
    if (node.isGone) return undefined;
    const isUsedUp = view.wasRemoved(id, incarnation);
    if (!isUsedUp) {
      return { type: 'addMember', node: id, incarnation, grpcAddress: `g${id}`, peerAddress: '' };
    }
    // It may only come back with an empty directory.
    if (wipe(cluster, node, random.chance(0.5))) stage.restartLater(node);
    return undefined;
  }
  const isBroken = !cluster.isSound(member);
  if (isBroken || (metadata.hasAllSound && random.chance(REMOVAL_SHARE))) {
    return { type: 'removeMember', node: id };
  }
  const shard = random.pick(cluster.shards);
  return random.pick([{ type: 'rebalance' }, { type: 'setLeader', shard, node: id }] as const);
}
