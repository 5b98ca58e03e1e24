/** A cluster that exists on paper: what a nemesis did to it can be read off. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Stage } from '../../../chaos/nemesis/nemesis.ts';
import { Choices } from '../../../chaos/run/choices.ts';
import { Random } from '../../../chaos/run/random.ts';
import type { Counters } from '../../../chaos/shim/control.ts';

export interface FakeNode {
  readonly steps: string[];
  readonly seen: Record<keyof Counters, number>;
  readonly data: string;
  isRunning: boolean;
  lastWords: string;
  /** What the next power cut takes back. */
  cut: { files: string[]; lostBytes: number; tornWrites: number; undoneNames: number };
  /** Called at each step, to play the node's part. */
  onStep: (step: string) => void;
}

export function fakeStage(seed = 1) {
  const nodes = new Map([1, 2, 3].map((node) => [node, fakeNode(node)]));
  const troubles: string[] = [];
  const of = (node: number) => nodes.get(node)!;
  const stage = {
    cluster: {
      nodes: [1, 2, 3],
      process: (node: number) => processOf(of(node), node),
      disk: (node: number) => diskOf(of(node)),
      whole: async () => new Map(),
      view: async () => ({ shards: [{ replicas: [{ node: 1 }, { node: 2 }, { node: 3 }] }] }),
    },
    random: new Random(seed),
    load: {
      running: true,
      trouble: (_: string, text: string) => troubles.push(text),
      expectDamage: () => undefined,
    },
    ...new Choices().ofOne(),
    begun: Promise.resolve(),
    shardOfQueue: [1],
    leaders: new Map([[1, 2]]),
    hold: async (ms: number) => {
      for (const node of nodes.values()) step(node, `hold ${ms}`);
    },
  } as unknown as Stage;
  return { stage, of, troubles };
}

function fakeNode(node: number): FakeNode {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-nemesis-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const data = join(folder, `node-${node}`);
  mkdirSync(data);
  const seen = {
    ...{ fileSyncs: 1, stdioSyncs: 1, directorySyncs: 1, dsyncWrites: 1 },
    ...{ failedSyncs: 0, refusedWrites: 0, delayedSyncs: 0, shiftedClockReads: 0 },
    ...{ shortWrites: 0, failedWrites: 0, failedReads: 0 },
  };
  const cut = { files: ['log/1'], lostBytes: 100, tornWrites: 1, undoneNames: 2 };
  const lastWords = 'holdfast: DATA_LOSS';
  return { steps: [], seen, data, isRunning: true, lastWords, cut, onStep: () => undefined };
}

function step(node: FakeNode, text: string): void {
  node.steps.push(text);
  node.onStep(text);
}

function processOf(fake: FakeNode, node: number) {
  const end = (how: string) => async () => {
    const wasRunning = fake.isRunning;
    fake.isRunning = false;
    step(fake, how);
    return wasRunning;
  };
  return {
    ...{ node, files: { data: fake.data }, kill: end('kill'), stop: end('stop') },
    get isRunning() {
      return fake.isRunning;
    },
    start() {
      fake.isRunning = true;
      step(fake, 'start');
    },
    gone: () => (fake.isRunning ? new Promise(() => undefined) : Promise.resolve()),
    lastWords: () => fake.lastWords,
    spokeOfDamage: () => fake.lastWords.includes('DATA_LOSS'),
  };
}

function diskOf(fake: FakeNode) {
  const told = (what: string) => (value: unknown) => step(fake, `${what} ${value}`);
  return {
    page: {
      failSyncIn: told('fail'),
      fillDisk: told('full'),
      slowSyncs: told('slow'),
      failReads: told('fail reads'),
      failWriteIn: (writes: number, classes: readonly string[]) =>
        step(fake, `fail write ${writes} ${classes.join(' ')}`),
      shiftClock: told('clock'),
    },
    get seen() {
      return { ...fake.seen };
    },
    get isWatched() {
      return fake.seen.stdioSyncs > 0;
    },
    cutPower() {
      step(fake, fake.isRunning ? 'cut alive' : 'cut');
      return fake.cut;
    },
  };
}
