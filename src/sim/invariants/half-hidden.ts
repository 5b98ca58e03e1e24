/**
 * Half messages (reliability P16, P17): messages stand in a queue by their own produce entry, or
 * since the commit of their transaction, once. Nothing else shows any.
 */
import type { Entry, LogIndex, ShardId } from '../../../raft/types.ts';
import type { Command } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';
import type { CopiedBodies } from './copied-bodies.ts';

export class HalfHidden {
  readonly #prepared = new Map<string, 'half' | 'shown'>();
  readonly #copies: CopiedBodies;

  constructor(copies: CopiedBodies) {
    this.#copies = copies;
  }

  prepared(shard: ShardId, index: LogIndex): void {
    this.#prepared.set(`${shard}/${index}`, 'half');
  }

  /** `entry` with `command` made `row` visible. */
  shows(shard: ShardId, entry: Entry, command: Command | undefined, row: QueueIndexRow): void {
    const how = command?.type ?? 'no command';
    const detail = () => `shard ${shard}: ${how} at ${entry.index} shows entry ${row.index}`;
    if (command?.type === 'produce') {
      expect(row.index === entry.index && row.term === entry.term, 'half-hidden', detail);
      return;
    }
    const isCommit = command?.type === 'end' && command.decision === 'commit';
    const key = `${shard}/${this.#copies.firstOf(shard, row.index)}`;
    expect(isCommit && this.#prepared.get(key) === 'half', 'half-hidden', detail);
    this.#prepared.set(key, 'shown');
  }
}
