/**
 * `npm run labs`: every lab of docs/labs, each against a cluster of its own, and what the commands
 * print against what the page says.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { type CleanUp, runCommand } from '../processes/command.ts';
import { packageFolder } from '../processes/package-folder.ts';
import { HOLDFAST, UpProcess } from '../processes/up-process.ts';
import { isExpected, readLab, type Step } from './page.ts';

const LABS = join(packageFolder(), 'docs', 'labs');
/** Inside the package, so that `import 'holdfast'` finds it. */
const WORKPLACES = join(packageFolder(), '.cache');
const STEP_TIMEOUT_MS = 60_000;
const DEFAULT_BASE = 7400;

function labNames(): readonly string[] {
  const pages = readdirSync(LABS).filter((name) => /^[a-z-]+\.md$/.test(name));
  return pages.map((name) => name.slice(0, -'.md'.length));
}

const COMMAND = {
  name: 'labs',
  does: 'Runs the labs of docs/labs, or those that are named, and compares what they print.',
  words: labNames(),
  options: {},
};

/** `npx holdfast` as it was built. */
function writeCommand(workplace: string): string {
  const bin = join(workplace, 'bin');
  mkdirSync(bin);
  const npx = join(bin, 'npx');
  writeFileSync(npx, `#!/bin/sh\nshift\nexec "${process.execPath}" "${HOLDFAST}" "$@"\n`);
  chmodSync(npx, 0o755);
  return bin;
}

/** Ports of the page become those of the cluster, and those in the output the other way round. */
function ports(base: number): { toReal(text: string): string; toPage(text: string): string } {
  const moved = (text: string, from: number, to: number) =>
    text.replaceAll(
      /(localhost|127\.0\.0\.1):(\d{4,5})\b/g,
      (whole, host: string, port: string) => {
        const offset = Number(port) - from;
        return offset > 0 && offset < 300 ? `${host}:${to + offset}` : whole;
      },
    );
  return {
    toReal: (text) => moved(text, DEFAULT_BASE, base),
    toPage: (text) => moved(text, base, DEFAULT_BASE),
  };
}

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

function run(script: string, cwd: string, environment: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', `exec 2>&1; set -euo pipefail\n${script}`], {
      cwd,
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: STEP_TIMEOUT_MS,
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** What is wrong, if anything. */
async function complaintAbout(
  { expected, script }: Step,
  shell: (script: string) => Promise<Ran>,
): Promise<string | undefined> {
  const { code, output } = await shell(script);
  const said = `${script}--- printed:\n${output}`;
  if (code !== 0) return `ended with ${code}:\n${said}`;
  if (expected === undefined || isExpected(expected, output)) return undefined;
  return `${said}--- instead of:\n${expected}`;
}

/** A cluster, a place to work in, and the steps up to the first that goes wrong. */
async function runLab(name: string, cleanUp: CleanUp): Promise<string | undefined> {
  const { settings, steps } = readLab(readFileSync(join(LABS, `${name}.md`), 'utf8'));
  const workplace = cleanUp.directory(join(WORKPLACES, 'lab-'));
  const up = await cleanUp.started(UpProcess.start({ data: join(workplace, 'data'), settings }));
  const { toPage, toReal } = ports(Number(up.servers[0]!.split(':')[1]) - 1);
  const environment = {
    ...process.env,
    PATH: [writeCommand(workplace), process.env.PATH].join(delimiter),
    HOLDFAST_SERVER: up.servers[0],
  };
  const desk = mkdtempSync(join(workplace, 'desk-'));
  const shell = async (script: string): Promise<Ran> => {
    const { code, output } = await run(toReal(script), desk, environment);
    return { code, output: toPage(output) };
  };
  let complaint: string | undefined;
  for (const step of steps) complaint ??= await complaintAbout(step, shell);
  await up.stop();
  return complaint;
}

await runCommand(COMMAND, async (_, cleanUp, words) => {
  const names = words.length === 0 ? labNames() : words;
  mkdirSync(WORKPLACES, { recursive: true });
  let failed = 0;
  for (const name of names) {
    const start = performance.now();
    const complaint = await runLab(name, cleanUp);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${complaint === undefined ? 'ok' : 'FAILED'} ${name} (${seconds} s)`);
    if (complaint === undefined) continue;
    console.log(complaint);
    failed += 1;
  }
  console.log(`${names.length - failed} labs as written, ${failed} not`);
  return failed === 0 ? 0 : 1;
});
