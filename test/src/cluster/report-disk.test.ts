import pino from 'pino';
import { describe, expect, it } from 'vitest';
import type { MetaCommand } from '../../../src/cluster/api.ts';
import { DiskReport } from '../../../src/cluster/report-disk.ts';
import { Roster } from '../../../src/cluster/roster.ts';
import { DEFAULTS } from '../../../src/config.ts';
import type { ShardHost } from '../../../src/shards/api.ts';
import { DiskLevels } from '../../../src/shards/disk-levels.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

/** Node 1 of three, whose disk is as full as the test says. */
class World {
  percent = 10;
  isBlind = false;
  leader: number | undefined = 1;
  readonly lines: string[] = [];
  readonly roster = new Roster(born(3, 2));
  readonly levels = new DiskLevels(1, this.roster);
  readonly proposed: { command: MetaCommand; done: () => void }[] = [];
  readonly report = new DiskReport({
    host: {
      node: 1,
      leaderOf: () => this.leader,
      meta: () => this.roster,
    } as unknown as ShardHost,
    levels: this.levels,
    proposer: {
      proposeMeta: (command, done) => {
        this.proposed.push({ command, done: () => done(undefined, undefined) });
      },
    },
    incarnation: this.roster.member(1)!.incarnation,
    marks: DEFAULTS.retention,
    measure: async () => {
      if (this.isBlind) throw new Error('EIO');
      return { percent: this.percent };
    },
    logger: pino({}, { write: (line: string) => void this.lines.push(line) }),
  });

  async look(percent: number): Promise<readonly unknown[]> {
    this.percent = percent;
    await this.report.look();
    return this.proposed.map(({ command }) => 'level' in command && command.level);
  }

  /** The metadata takes what was proposed last. */
  take(): void {
    const { command, done } = this.proposed.at(-1)!;
    this.roster.apply(command as never, new MemoryRows());
    done();
  }
}

describe('a node tells the cluster of its disk', () => {
  it('once for each mark that it passes, up and down', async () => {
    const world = new World();
    expect(await world.look(50)).toEqual([]);
    expect(await world.look(86)).toEqual(['critical']);
    expect(world.levels.own).toBe('critical');
    // Not twice while the first is on its way, nor when it has arrived.
    expect(await world.look(86)).toEqual(['critical']);
    world.take();
    expect(await world.look(86)).toEqual(['critical']);
    expect(await world.look(20)).toEqual(['critical', 'low']);
    expect(world.levels.own).toBe('low');
    expect(world.lines.map((line) => JSON.parse(line).level)).toEqual([40, 30]);
  });

  it('again when what it said came to nothing, and when the metadata has a leader', async () => {
    const world = new World();
    world.leader = undefined;
    expect(await world.look(95)).toEqual([]);
    world.leader = 2;
    expect(await world.look(95)).toEqual(['full']);
    world.proposed[0]!.done();
    expect(await world.look(95)).toEqual(['full', 'full']);
  });

  it('nothing when it cannot see, and then keeps what it knew', async () => {
    const world = new World();
    await world.look(95);
    world.take();
    world.isBlind = true;
    expect(await world.look(10)).toEqual(['full']);
    expect(world.levels.own).toBe('full');
    expect(world.lines.at(-1)).toContain('cannot be seen');
  });
});
