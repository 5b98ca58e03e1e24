import { describe, expect, it } from 'vitest';
import type { MetaCommand } from '../../../src/cluster/api.ts';
import { type Memory, reportSuspects } from '../../../src/cluster/report-suspects.ts';
import { Roster } from '../../../src/cluster/roster.ts';
import type { ShardHost } from '../../../src/shards/api.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

/** Node 1's directory, which knows all of its replicas but those of these shards. */
function memory(...forgotten: number[]): Memory {
  const highestOf = (shard: number) => (forgotten.includes(shard) ? 0 : 99);
  return { incarnation: 'i1', highestOf };
}

function world(copies: number) {
  const roster = new Roster(born(3, 2, copies));
  const listeners = new Set<(shard: number) => void>();
  const proposed: { command: MetaCommand; done: (error: unknown, result: unknown) => void }[] = [];
  const listen = (listener: (shard: number) => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const host = {
    leaderOf: () => 1,
    meta: () => roster,
    onApplied: listen,
    onLeadership: listen,
  } as unknown as ShardHost;
  const proposer = {
    proposeMeta: (command: MetaCommand, done: (error: unknown, result: unknown) => void) => {
      proposed.push({ command, done });
    },
  };
  const tell = () => {
    for (const listener of [...listeners]) listener(0);
  };
  return { roster, host, proposer, proposed, tell, listeners };
}

describe('a suspect replica', () => {
  it('is reported until the placement has a successor for it', () => {
    const { roster, host, proposer, proposed, tell } = world(3);
    const reporter = reportSuspects(host, proposer, [{ shard: 1, replica: 2 }], memory());
    expect(proposed).toEqual([]);
    tell();
    tell();
    expect(proposed.map(({ command }) => command)).toEqual([
      { type: 'replaceReplica', shard: 1, replica: 2 },
    ]);
    roster.apply({ type: 'replaceReplica', shard: 1, replica: 2 }, new MemoryRows());
    proposed[0]!.done(undefined, { type: 'done' });
    tell();
    expect(proposed).toHaveLength(1);
    reporter.stop();
  });

  it('of the metadata itself is reported, though its tables may not know it yet', () => {
    const { host, proposer, proposed, tell, roster } = world(3);
    const replica = 7;
    expect(roster.placement(0)!.voters.map((one) => one.replica)).not.toContain(replica);
    const highest = new Map([[0, replica]]);
    const highestOf = (shard: number) => highest.get(shard) ?? 99;
    reportSuspects(host, proposer, [{ shard: 0, replica }], { incarnation: 'i1', highestOf });
    tell();
    const command = { type: 'replaceReplica', shard: 0, replica } as const;
    expect(proposed.map((one) => one.command)).toEqual([command]);
    proposed[0]!.done(undefined, { type: 'done' });
    highest.set(0, 8);
    tell();
    expect(proposed, 'its successor is here').toHaveLength(1);
  });

  it('that is the only copy has nobody to learn from', () => {
    const { host, proposer, proposed, tell, roster } = world(1);
    const { replica } = roster.placement(1)!.voters[0]!;
    reportSuspects(host, proposer, [{ shard: 1, replica }], memory());
    tell();
    expect(proposed).toEqual([]);
  });

  it('nobody listens after the end', () => {
    const { host, proposer, listeners } = world(3);
    reportSuspects(host, proposer, [{ shard: 1, replica: 2 }], memory()).stop();
    expect(listeners.size).toBe(0);
  });
});

describe('a replica of which no trace is left', () => {
  it('is reported like a suspect one, once its placement was brought about', () => {
    const { roster, host, proposer, proposed, tell } = world(3);
    reportSuspects(host, proposer, [], memory(2));
    const { voters, version } = roster.placement(2)!;
    const { replica } = voters.find(({ incarnation }) => incarnation === 'i1')!;
    tell();
    tell();
    const command = { type: 'replaceReplica', shard: 2, replica } as const;
    expect(proposed.map((one) => one.command)).toEqual([command]);
    roster.apply(command, new MemoryRows());
    proposed[0]!.done(undefined, { type: 'done' });
    tell();
    expect(roster.placement(2)!.version).toBe(version + 1);
    expect(proposed, 'the next one has not come yet').toHaveLength(1);
  });

  it('elsewhere is no concern of this node', () => {
    const { host, proposer, proposed, tell } = world(3);
    reportSuspects(host, proposer, [], { ...memory(1, 2), incarnation: 'i9' });
    tell();
    expect(proposed).toEqual([]);
  });
});
