/** `npm run chaos`: attacks a cluster of real processes and judges what its clients saw. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readHistory } from './history.ts';
import { type Options, readOptions, USAGE, UsageError } from './options.ts';
import { asJson, asText, exitCode, USAGE_EXIT_CODE } from './report.ts';
import { runScenario } from './scenario.ts';
import { type Judgement, judge, type Verdict } from './verdict.ts';

function print(judgement: Judgement, { json }: Options): void {
  console.log(json ? asJson(judgement) : asText(judgement));
}

async function attackAll(options: Options): Promise<Verdict[]> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  const verdicts: Verdict[] = [];
  for (const scenario of options.scenarios) {
    if (interruption.signal.aborted) break;
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
    console.error(`${scenario}: ${options.kills} kills, data and history in ${folder}`);
    const file = await runScenario({ ...options, scenario }, folder, interruption.signal);
    const judgement = judge(readHistory(file));
    print(judgement, options);
    verdicts.push(judgement.verdict);
    // What failed is kept: history, node logs and data, to be judged and read again.
    if (judgement.verdict === 'pass') rmSync(folder, { recursive: true, force: true });
    else console.error(`kept: ${folder}`);
  }
  return verdicts;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.check === undefined) return exitCode(await attackAll(options));
  const judgement = judge(readHistory(options.check));
  print(judgement, options);
  return exitCode([judgement.verdict]);
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError;
  console.error(isUsage ? `${error.message}\n${USAGE}` : error);
  // A harness that broke down says nothing about the cluster.
  process.exitCode = isUsage ? USAGE_EXIT_CODE : 3;
}
