/** All promises that a history is held against. A new one is a file and a line here. */
import { abortedRead } from './aborted-read.ts';
import { committedOffset } from './committed-offset.ts';
import { delayNeverEarly } from './delay-never-early.ts';
import { denseOffsets } from './dense-offsets.ts';
import { divergence } from './divergence.ts';
import { duplicate } from './duplicate.ts';
import { groupExclusivity } from './group-exclusivity.ts';
import { halfInvisible } from './half-invisible.ts';
import { inconsistentOffsets } from './inconsistent-offsets.ts';
import { keyOrder } from './key-order.ts';
import { linearizableFetch } from './linearizable-fetch.ts';
import { linearizableProduce } from './linearizable-produce.ts';
import { lostWrite } from './lost-write.ts';
import { oneHolder } from './one-holder.ts';
import { oneLeader } from './one-leader.ts';
import { oneOutcome } from './one-outcome.ts';
import { phantom } from './phantom.ts';
import { pollOrder } from './poll-order.ts';
import type { Property } from './property.ts';
import { retention } from './retention.ts';
import { sendOrder } from './send-order.ts';
import { settled } from './settled.ts';
import { transactionAtomicity } from './transaction-atomicity.ts';
import { transactionDurability } from './transaction-durability.ts';
import { unseen } from './unseen.ts';
import { workedOff } from './worked-off.ts';

export const PROPERTIES: readonly Property[] = [
  lostWrite,
  unseen,
  divergence,
  phantom,
  abortedRead,
  inconsistentOffsets,
  duplicate,
  pollOrder,
  sendOrder,
  linearizableProduce,
  linearizableFetch,
  denseOffsets,
  committedOffset,
  groupExclusivity,
  transactionAtomicity,
  halfInvisible,
  oneOutcome,
  transactionDurability,
  delayNeverEarly,
  retention,
  oneLeader,
  oneHolder,
  workedOff,
  keyOrder,
  settled,
];
