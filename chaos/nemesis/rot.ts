/**
 * Bytes at rest that turn over or vanish, in one file of a node that was stopped in order: its
 * marker says that all of its log had been synced, so no damage can pass for a torn write. Always
 * the same node of a cluster: whatever waits there for its repair, the others hold intact. What
 * is met later, by a read, may be refused until then.
 */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { NodeProcess } from '../cluster/node-process.ts';
import type { Random } from '../run/random.ts';
import type { Nemesis, Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** Zeros written ahead say nothing: a byte that does is looked for so often. */
const LOOKS_MAX = 1000;
const BITS_MAX = 3;
const SETTLES_WITHIN_MS = 60_000;

/** Files of one purpose. */
export interface FileClass {
  readonly name: string;
  /** Within the data directory. */
  readonly folder: string;
  readonly files: RegExp;
}

/** What was done, in words. */
type Harm = (file: string, random: Random) => string;

/** In place and byte by byte: the file may be open, and grow. */
export function flipBits(file: string, random: Random): string {
  const bytes = readFileSync(file);
  const places: number[] = [];
  const handle = openSync(file, 'r+');
  for (let bits = 1 + random.below(BITS_MAX); bits > 0; bits--) {
    let at = random.below(bytes.length);
    for (let look = 1; bytes[at] === 0 && look < LOOKS_MAX; look++) at = random.below(bytes.length);
    bytes[at]! ^= 1 << random.below(8);
    writeSync(handle, bytes, at, 1, at);
    places.push(at);
  }
  closeSync(handle);
  return `bits flipped at ${places.join(', ')} of ${bytes.length}`;
}

function cutShort(file: string, random: Random): string {
  const { length } = readFileSync(file);
  const left = random.below(length);
  truncateSync(file, left);
  return `${left} of ${length} bytes left`;
}

export function flipOf(files: FileClass): Nemesis {
  const does = `bits of one file turn over while a node is stopped: ${files.name}`;
  return rotOf(`flip-${files.name}`, does, files, flipBits);
}

export function cutOf(files: FileClass): Nemesis {
  const does = `one file is cut short while a node is stopped: ${files.name}`;
  return rotOf(`cut-${files.name}`, does, files, cutShort);
}

function rotOf(name: string, does: string, files: FileClass, harm: Harm): Nemesis {
  const strike = (stage: Stage, holdMs: number) => rot(stage, holdMs, files, harm);
  return { name, does, needs: ['processes'], movesLeader: false, strike };
}

async function rot(
  stage: Stage,
  holdMs: number,
  { name, folder, files }: FileClass,
  harm: Harm,
): Promise<Strike> {
  const { cluster, load, random } = stage;
  const node = cluster.nodes.at(-1) ?? 0;
  const target = cluster.process(node);
  const struck = { nodes: [node], queues: queuesLedBy(stage, [node]) };
  if (stage.isTaken(node)) {
    return { state: 'indeterminate', text: `another fault has node ${node}`, ...struck };
  }
  stage.claim([node]);
  load.expectDamage();
  target.mayMeetDamage = true;
  await target.stop();
  const [file] = random.shuffled(filesIn(join(target.files.data, folder), files));
  if (file === undefined) {
    target.start();
    return { state: 'skipped', text: `node ${node} has no ${name}`, ...struck };
  }
  const intact = readFileSync(file);
  const harmed = `${file.slice(target.files.data.length + 1)}: ${harm(file, random)}`;
  target.mayEnd = true;
  target.start();
  await stage.hold(holdMs);
  const outcome = await outcomeOf(stage, target);
  if (!target.isRunning) writeFileSync(file, intact);
  target.mayEnd = false;
  target.start();
  return { state: 'installed', text: `${harmed}; ${outcome}`, ...struck };
}

/** It serves, repaired by the others, or has refused to: anything else is trouble. */
async function outcomeOf({ cluster, load }: Stage, target: NodeProcess): Promise<string> {
  const isWanted = () => load.running && target.isRunning;
  const whole = await cluster.whole(SETTLES_WITHIN_MS, isWanted);
  if (target.isRunning) return whole === undefined ? 'not whole in time' : 'it serves';
  if (!target.spokeOfDamage()) {
    const words = target.lastWords();
    load.trouble('nemesis', `node ${target.node} ended over damaged bytes: ${words}`);
  }
  return 'it refused to serve, and got the intact file back';
}

export function filesIn(folder: string, files: RegExp): string[] {
  try {
    const names = readdirSync(folder).filter((name) => files.test(name));
    return names.sort().map((name) => join(folder, name));
  } catch {
    return [];
  }
}
