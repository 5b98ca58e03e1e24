/** `npm run chaos`: attacks a cluster of real processes and judges what its clients saw. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reportingUsage } from '../test/processes/command.ts';
import { UsageError } from '../test/processes/options.ts';
import { readHistory } from './history.ts';
import { HELP, type Options, readOptions } from './options.ts';
import { asJson, asText, EXIT_CODES, exitCode } from './report.ts';
import { runScenario } from './scenario.ts';
import { type Judgement, judge, type Verdict } from './verdict.ts';

function print(judgement: Judgement, { json }: Options): void {
  console.log(json ? asJson(judgement) : asText(judgement));
}

async function attackAll(options: Options): Promise<Verdict[]> {
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupt);
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
    const brokenOff = interruption.signal.aborted && judgement.verdict === 'invalid';
    if (judgement.verdict !== 'pass' && !brokenOff) console.error(`kept: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
  return verdicts;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  if (options.check === undefined) return exitCode(await attackAll(options));
  if (!existsSync(options.check)) throw new UsageError(`--check ${options.check}: does not exist`);
  const judgement = judge(readHistory(options.check));
  print(judgement, options);
  return exitCode([judgement.verdict]);
}

await reportingUsage('chaos', async () => {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    console.error(error);
    // A harness that broke down says nothing about the cluster.
    process.exitCode = EXIT_CODES.invalid;
  }
});
