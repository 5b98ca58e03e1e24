/** `holdfast chaos`: attacks a cluster of real processes and judges what its clients saw. */
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { reportingUsage } from '../test/processes/command.ts';
import { UsageError } from '../test/processes/options.ts';
import { type History, nowMs, readHistory } from './history.ts';
import { listText } from './list.ts';
import { HELP, type RunOptions, readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { asHtml } from './report/html.ts';
import { asJson, asText, EXIT_CODES, exitCode } from './report.ts';
import { SEED_MAX } from './run/random.ts';
import { runScenario } from './run/run-scenario.ts';
import type { Scenario } from './run/scenario-file.ts';
import { type Judgement, judge, type Verdict } from './verdict.ts';

function print(judgement: Judgement, { json }: { readonly json: boolean }): void {
  console.log(json ? asJson(judgement) : asText(judgement));
}

async function runAll(options: RunOptions): Promise<Verdict[]> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupt);
  const verdicts: Verdict[] = [];
  for (const scenario of options.scenarios) {
    if (interruption.signal.aborted) break;
    verdicts.push(await runOne(options, scenario, interruption.signal));
  }
  return verdicts;
}

async function runOne(
  options: RunOptions,
  scenario: Scenario,
  interrupted: AbortSignal,
): Promise<Verdict> {
  const seed = options.seed ?? randomInt(SEED_MAX);
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  console.error(`${scenario.name}: seed ${seed}, data and history in ${folder}`);
  const progress = new Progress(nowMs());
  const stop = progress.showOn(process.stderr);
  const { servers } = options;
  const plan = { scenario, seed, folder, interrupted, servers, ...progress.hooks };
  const file = await runScenario(plan)
    .catch((error) => {
      if (error instanceof UsageError) remove();
      throw error;
    })
    .finally(stop);
  const history = readHistory(file);
  const judgement = judge(history);
  print(judgement, options);
  // What failed is kept: history, node logs and data, to be judged and read again.
  const brokenOff = interrupted.aborted && judgement.verdict === 'invalid';
  const isWanted = judgement.verdict !== 'pass' && !brokenOff;
  if (isWanted || options.keep) {
    writeReport(history, judgement, folder);
    console.error(`kept: ${folder}`);
  } else remove();
  return judgement.verdict;
}

function writeReport(history: History, judgement: Judgement, folder: string): void {
  writeFileSync(join(folder, 'report.html'), asHtml(history, judgement));
}

function checkAll(files: readonly string[], json: boolean): Verdict[] {
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) throw new UsageError(`check ${missing}: does not exist`);
  return files.map((file) => {
    const history = readHistory(file);
    const judgement = judge(history);
    print(judgement, { json });
    writeReport(history, judgement, dirname(file));
    return judgement.verdict;
  });
}

async function run(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  switch (options.command) {
    case 'help':
    case 'list':
      console.log(options.command === 'help' ? HELP : listText());
      return 0;
    case 'check':
      return exitCode(checkAll(options.files, options.json));
    case 'run':
      return exitCode(await runAll(options));
  }
}

/** Answers its exit code through `process.exitCode`. */
export async function chaosCommand(args: readonly string[]): Promise<void> {
  await reportingUsage('chaos', async () => {
    try {
      process.exitCode = await run(args);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      console.error(error);
      // A harness that broke down says nothing about the cluster.
      process.exitCode = EXIT_CODES.invalid;
    }
  });
}
