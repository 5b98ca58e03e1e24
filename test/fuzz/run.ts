/**
 * `npm run fuzz`: what nodes and clients may send, damaged on purpose. Every type of frame into a
 * node's network, and requests to every RPC of a real cluster. Fails at the first one that is
 * neither taken nor refused as it should be, and where a node or a decoder keeps too much.
 */
import { runCommand } from '../processes/command.ts';
import { flag, number, text, type ValuesOf } from '../processes/options.ts';
import { fuzzCalls } from './calls.ts';
import { fuzzFrames } from './frames.ts';
import type { Row } from './row.ts';

const MIB = 1024 * 1024;
/** More than that is a leak. */
const MAX_GROWN_BYTES = 64 * MIB;

const COMMAND = {
  name: 'fuzz',
  does: 'Damaged frames of every type, damaged requests to every RPC: no crash, no growth.',
  options: {
    frames: number(1_000_000, 'frames per type', { max: 100_000_000, whole: true }),
    calls: number(100_000, 'calls per RPC', { max: 100_000_000, whole: true }),
    rpc: text('TEXT', '', 'only RPCs whose name has it'),
    nodes: number(3, 'of the cluster that is called', { min: 1, max: 7, whole: true }),
    seed: number(1, 'the same one makes the same frames', { max: 2 ** 31, whole: true }),
    json: flag('one object per line'),
  },
};

async function fuzz(options: ValuesOf<typeof COMMAND.options>): Promise<number> {
  const { calls, frames, json, nodes, rpc: named, seed } = options;
  const grown: Row[] = [];
  const onRow = (row: Row) => {
    console.log(json ? JSON.stringify(row) : lineOf(row));
    if (row.grownBytes > MAX_GROWN_BYTES) grown.push(row);
  };
  if (!json) console.log(headline());
  if (frames > 0) await fuzzFrames({ framesPerType: frames, seed, onRow });
  if (calls > 0) await fuzzCalls({ callsPerMethod: calls, named, nodes, seed, onRow });
  for (const { name, grownBytes } of grown) {
    console.log(`${name}: ${(grownBytes / MIB).toFixed(1)} MiB are held that were not before`);
  }
  if (!json) console.log(`verdict: ${grown.length === 0 ? 'pass' : 'fail'}`);
  return grown.length === 0 ? 0 : 1;
}

function headline(): string {
  return `${'what'.padEnd(34)}${cells('tried', 'taken', 'refused', 'MiB more')}`;
}

function lineOf({ grownBytes, name, refused, taken, tried }: Row): string {
  const values = cells(`${tried}`, `${taken}`, `${refused}`, (grownBytes / MIB).toFixed(1));
  return `${name.padEnd(34)}${values}`;
}

function cells(...texts: readonly string[]): string {
  return texts.map((text) => text.padStart(10)).join('');
}

await runCommand(COMMAND, fuzz);
