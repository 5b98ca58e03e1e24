/**
 * What the replicas of a cluster have agreed to write. A build knows every level up to its newest;
 * a shard is at one of them, and rises by an entry of its log, so that all replicas change at the
 * same place. Commands, fields and rows that an earlier build cannot read are made at their level
 * and never below it: builds may be mixed, and set back, for as long as the level stays
 * (docs/upgrades.md). A cluster that is born is at the newest level of the build that bears it.
 */
export const FIRST_LEVEL = 1;
export const NEWEST_LEVEL = 7;
/** From here on the state keeps where groups stood, and groups may be forked. */
export const OFFSET_HISTORY_LEVEL = 3;
/** From here on it is written down who may do what, and whose transactions and members are. */
export const OWNERS_LEVEL = 4;
/** From here on there are quotas, and a topic knows whose it counts against. */
export const QUOTAS_LEVEL = 5;
/** From here on batches that queues show may be appended again. */
export const ROW_COPIES_LEVEL = 6;
/** From here on topics may be compacted. */
export const COMPACTION_LEVEL = 7;

/** What each level brought, for operators. */
export const FEATURE_LEVELS: ReadonlyMap<number, string> = new Map([
  [1, 'what builds could do that knew no levels yet'],
  [2, 'levels themselves'],
  [3, 'where groups stood at a time, and forks of groups'],
  [4, 'access rules, and whose transactions and members of groups are'],
  [5, 'quotas, and whose topics are'],
  [6, 'messages that are kept long are written again, and hold no log of others'],
  [7, 'topics of which the newest message per key stays'],
]);

/** A replica of a shard that this build must not touch. */
export class FeatureLevelError extends Error {
  override readonly name = 'FeatureLevelError';

  constructor(level: number) {
    super(
      `this cluster is at feature level ${level}, and this build knows ${NEWEST_LEVEL} at most: ` +
        'install the build that the other nodes run',
    );
  }
}

/** Of a row or an entry. */
export function checkedLevel(level: number): number {
  if (level > NEWEST_LEVEL) throw new FeatureLevelError(level);
  return level;
}
