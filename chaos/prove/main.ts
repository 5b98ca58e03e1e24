/** `npm run chaos:prove`: attacks builds that are broken on purpose; the verdict has to show it. */
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type CleanUp, runCommand } from '../../test/processes/command.ts';
import { flag, number, text, type ValuesOf } from '../../test/processes/options.ts';
import { type History, nowMs, readHistory } from '../history.ts';
import { Progress } from '../progress.ts';
import { SEED_MAX } from '../run/random.ts';
import { runScenario } from '../run/run-scenario.ts';
import { findScenario } from '../run/scenario-file.ts';
import { judge } from '../verdict.ts';
import { BROKEN_BUILDS, type BrokenBuild } from './builds.ts';
import { plant } from './plant.ts';
import { type AttackedBuild, asTable, exitCodeOf, type Proof, Prover, type Run } from './proof.ts';
import { logsOf, trimmed } from './trim.ts';

const RUNS_MAX = 100;
const REASONS_SHOWN = 3;

const COMMAND = {
  name: 'chaos:prove',
  does: 'Attacks builds that are broken on purpose: each has to be found, the sound one passes.',
  words: BROKEN_BUILDS.map(({ name }) => name),
  options: {
    runs: number(3, 'in which a build has to be found', { min: 1, max: RUNS_MAX, whole: true }),
    json: flag('one line of JSON per build'),
    record: text(
      'FOLDER',
      '',
      'keep there what a history that found a build says of what it found',
    ),
  },
};
type Values = ValuesOf<typeof COMMAND.options>;

async function attack(target: AttackedBuild, cleanUp: CleanUp): Promise<Run> {
  const { seconds, build } = target;
  const scenario = { ...findScenario(target.scenario), seconds };
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
  const planted = build && plant(build);
  const interruption = new AbortController();
  const progress = new Progress(nowMs());
  const stop = progress.showOn(process.stderr);
  const running = runScenario({
    ...{ scenario, folder, interrupted: interruption.signal, ...progress.hooks },
    ...{ seed: randomInt(SEED_MAX), binary: planted?.binary },
  });
  let isKept = false;
  const remove = (): void => {
    stop();
    planted?.remove();
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  };
  cleanUp.add(() => {
    interruption.abort();
    return running.then(remove, remove);
  });
  const history = readHistory(await running);
  // Nobody waits for a verdict any more, and nothing more is to be begun.
  interruption.signal.throwIfAborted();
  const judgement = judge(history);
  // A sound build that does not pass is worth a look; a broken one is as it should be.
  isKept = build === undefined && judgement.verdict === 'fail';
  if (isKept) cleanUp.keep(folder);
  remove();
  return { history, judgement };
}

function tell({ build }: AttackedBuild, { judgement }: Run, number: number): void {
  const { verdict, counts, reasons } = judgement;
  const broken = Object.entries(counts).filter(([, count]) => count > 0);
  const found = broken.map(([name, count]) => `${name} ${count}`).join(', ');
  console.error(`${build?.name ?? 'sound build'}, run ${number}: ${verdict} ${found}`);
  for (const reason of reasons.slice(0, REASONS_SHOWN)) console.error(`  ${reason}`);
}

function record(folder: string, { name, properties }: BrokenBuild, { history, judgement }: Run) {
  const finding = judgement.findings.find((one) => properties.includes(one.name));
  const part = trimmed(history, logsOf(history, finding?.lines ?? []));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.jsonl.gz`), gzipSync(asLines(part), { level: 9 }));
}

function asLines(history: History): string {
  return history.map((event) => `${JSON.stringify(event)}\n`).join('');
}

async function proveAll(
  { runs, json, record: kept }: Values,
  cleanUp: CleanUp,
  names: readonly string[],
): Promise<number> {
  const prover = new Prover((target) => attack(target, cleanUp), runs, {
    onRun: tell,
    onFound: (build, run) => {
      if (kept !== '') record(kept, build, run);
    },
  });
  const proofs: Proof[] = [];
  for (const build of BROKEN_BUILDS) {
    if (names.length > 0 && !names.includes(build.name)) continue;
    const proof = await prover.prove(build);
    if (json) console.log(JSON.stringify(proof));
    proofs.push(proof);
  }
  if (!json) console.log(asTable(proofs));
  return exitCodeOf(proofs);
}

await runCommand(COMMAND, proveAll);
