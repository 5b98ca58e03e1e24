/**
 * Is the simulator worth anything? Each mutant is the real code with one planted bug, in a
 * directory of its own; some seed must show it, and the unchanged copy must show nothing.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { runSeed as RunSeed } from '../../src/sim/run.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'));
const SEEDS = 150;

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** For a bug that a whole cluster hardly ever meets: true = this short story shows it. */
  readonly story?: (harness: Harness) => boolean;
}

/** The test harness over the mutant's own core. */
type Harness = typeof import('../harness/raft-cluster.ts');

/** An empty append that proves entry 1 only, to a follower with an uncommitted suffix. */
function commitsUnverified({ TestReplica, entries, SHARD }: Harness): boolean {
  const replica = new TestReplica(1, { log: entries(1, 2, 2) });
  const proof = { prevIndex: 1, prevTerm: 1, commit: 3, wantsWritten: false, entries: [] };
  replica.step({ type: 'append', shard: SHARD, from: 2, to: 1, term: 3, ...proof });
  return replica.core.log.commit > 1;
}

/** A read that arrives while an earlier one's round is under way, and only that one is answered. */
function readReusesRound({ CoreCluster }: Harness): boolean {
  const cluster = new CoreCluster([1, 2, 3]);
  const leader = cluster.elect(1);
  leader.readIndex(1);
  cluster.deliver(({ type }) => type === 'heartbeat');
  leader.readIndex(2);
  cluster.deliver(({ type }) => type === 'heartbeatReply');
  return leader.confirmedReads.some(({ id }) => id === 2);
}

const SUCCESS_REPLY =
  "\n    ...replyTo(state, message),\n    type: 'appendReply',\n    success: true,";

const mutants: readonly Mutant[] = [
  {
    name: 'vote not persisted before the reply',
    file: 'raft/election.ts',
    from: "state.out.sendAfterDurable({\n    type: 'voteReply',",
    to: "state.out.release([{\n    type: 'voteReply',",
  },
  {
    name: 'entries not durable before the ack',
    file: 'raft/follower.ts',
    from: `state.out.sendAfterDurable({${SUCCESS_REPLY}`,
    to: `state.out.release([{${SUCCESS_REPLY}`,
  },
  {
    name: 'the leader counts itself before its entry is durable',
    file: 'raft/core.ts',
    from: 'state.reign.matched.set(state.self, state.log.durable);',
    to: 'state.reign.matched.set(state.self, state.log.lastIndex);',
  },
  {
    name: 'an entry of an older term is committed by counting',
    file: 'raft/replication.ts',
    from: 'if (log.term(index) !== state.term) return;',
    to: '',
  },
  {
    name: 'a stale append truncates',
    file: 'raft/follower.ts',
    from: 'if (state.log.matches(entry.index, entry.term)) continue;',
    to: '',
  },
  {
    name: 'a follower commits beyond what was verified',
    file: 'raft/follower.ts',
    from: 'Math.min(leaderCommit, state.verifiedIndex)',
    to: 'Math.min(leaderCommit, state.log.lastIndex)',
    story: commitsUnverified,
  },
  {
    name: 'a read reuses a round that was already under way',
    file: 'raft/read-index.ts',
    from: '  broadcastHeartbeat(state, reign, false);\n',
    to: '  if (reign.round === 0) broadcastHeartbeat(state, reign, false);\n',
    story: readReusesRound,
  },
  {
    name: 'the vote rule looks at the length only',
    file: 'raft/log.ts',
    from: 'return lastTerm > own || (lastTerm === own && lastIndex >= this.#last);',
    to: 'return own >= 0 && lastTerm >= 0 && lastIndex >= this.#last;',
  },
  {
    name: 'a vote is forgotten when the term is seen again',
    file: 'raft/election.ts',
    from: 'const isFree = state.vote === request.from || (state.vote === 0 && state.leader === 0);',
    to: 'const isFree = true;',
  },
  {
    name: 'a truncated entry stays durable',
    file: 'raft/follower.ts',
    from: 'for (const write of state.pendingWrites) write.lastIndex = ',
    to: 'for (const write of state.pendingWrites) write.lastIndex += 0 * ',
  },
  {
    name: 'weaker acks advance the commit index',
    file: 'raft/replication.ts',
    from: 'const index = committedIndex(state.config, reign.matched);',
    to: 'const index = committedIndex(state.config, reign.writtenMarks);',
  },
  {
    name: 'acks of another term count',
    file: 'raft/core.ts',
    from: '      this.#answerOldTerm(message);\n      return;\n',
    to: '      this.#answerOldTerm(message);\n',
  },
];

function copySource(name: string): string {
  const directory = join(scratch, name);
  for (const folder of ['raft', 'storage', 'src']) {
    cpSync(join(root, folder), join(directory, folder), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const harness = 'test/harness/raft-cluster.ts';
  cpSync(join(root, harness), join(directory, harness));
  return directory;
}

function plant(directory: string, { file, from, to }: Mutant): void {
  const path = join(directory, file);
  const source = readFileSync(path, 'utf8');
  expect(source.split(from), `${file} has the place to plant the bug once`).toHaveLength(2);
  let planted = source.replace(from, to);
  // A message that is released instead of tied to a write is a list of one.
  if (to.includes('release([{')) {
    const at = planted.indexOf(to);
    planted = planted.slice(0, at) + planted.slice(at).replace('});', '}]);');
  }
  writeFileSync(path, planted);
}

async function load(directory: string): Promise<typeof RunSeed> {
  const path = join(directory, 'src/sim/run.ts');
  const loaded = (await import(/* @vite-ignore */ path)) as { runSeed: typeof RunSeed };
  return loaded.runSeed;
}

/** The first seed that fails, and why. */
async function firstFailure(runSeed: typeof RunSeed): Promise<string | undefined> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { failure } = await runSeed(seed, { faultMs: 6000, nodes: 3 + 2 * (seed % 2) });
    if (failure !== undefined) return `seed ${seed}: ${failure.split('\n')[0]}`;
  }
  return undefined;
}

describe('planted bugs', { timeout: 240_000 }, () => {
  test.each(mutants)('$name', async (mutant) => {
    const directory = copySource(`mutant-${mutants.indexOf(mutant)}`);
    plant(directory, mutant);
    if (mutant.story !== undefined) {
      const harness = join(directory, 'test/harness/raft-cluster.ts');
      expect(mutant.story((await import(/* @vite-ignore */ harness)) as Harness)).toBe(true);
      expect(mutant.story(await import('../harness/raft-cluster.ts'))).toBe(false);
      return;
    }
    const failure = await firstFailure(await load(directory));
    expect(failure, 'no seed noticed').toBeDefined();
    if (process.env.SHOW === '1') process.stdout.write(`${mutant.name}: ${failure}\n`);
  });

  test('the unchanged copy is clean', async () => {
    const runSeed = await load(copySource('original'));
    for (let seed = 1; seed <= 10; seed++) {
      expect((await runSeed(seed, { faultMs: 6000 })).ok).toBe(true);
    }
  });
});
