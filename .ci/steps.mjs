// Runs every step, whatever fails before it, and ends with one line: N passed, N failed.
// A step counts as passed only when it ran and exited 0; tests are counted one by one.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deploySteps } from './deploy.mjs';
import { startCluster } from './live-cluster.mjs';
import { installSteps, toolFolders } from './tools.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MINUTE_MS = 60_000;
const REPORT = join(ROOT, '.cache', 'vitest.json');
const PATH = [...toolFolders(ROOT), process.env.PATH ?? ''].join(delimiter);
const ENVIRONMENT = { ...process.env, PATH, CI: 'true' };

/** Some megabytes of real files, and some killed leaders: about a minute. */
const SHORT_E2E = ['--bytes', '20', '--kills', '4'];
/** Nine scenarios, through toxiproxy where they break the network: about five minutes. */
const SHORT_CHAOS = ['--short'];
/** Every type of frame and every RPC: about half a minute. */
const SHORT_FUZZ = ['--frames', '20000', '--calls', '300'];
/** Short histories, so that they fit into four minutes of two processors. */
const SHORT_SIM = ['--count', '1000', '--fault-ms', '4000'];

let passed = 0;
const failures = [];

function count(name, ok, seconds) {
  if (ok) passed += 1;
  else failures.push(name);
  console.log(`${ok ? 'ok' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
}

/** Resolves with the exit code; a step over its time is ended and has failed. */
function run([command, ...args], { environment = {}, timeoutMs = 15 * MINUTE_MS } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...ENVIRONMENT, ...environment },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    });
    const timer = setTimeout(() => {
      console.log(`over ${timeoutMs / MINUTE_MS} minutes: ${command} ${args.join(' ')}`);
      process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    const end = (code) => {
      clearTimeout(timer);
      resolve(code);
    };
    child.once('error', (error) => {
      console.log(`${command}: ${error.message}`);
      end(1);
    });
    child.once('close', (code) => end(code ?? 1));
  });
}

async function step({ name, command, after, ...options }) {
  console.log(`--- ${name}: ${command.join(' ')}`);
  const start = performance.now();
  let code = await run(command, options);
  try {
    if (code === 0) after?.();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    code = 1;
  }
  count(name, code === 0, (performance.now() - start) / 1000);
}

/** Every test counts by itself; a run that broke off counts as one failure more. */
async function tests(script) {
  const name = `npm run ${script}`;
  rmSync(REPORT, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
  const code = await run(['npm', 'run', script, '--', ...reporters], { timeoutMs: 40 * MINUTE_MS });
  let failed = 0;
  try {
    const report = JSON.parse(readFileSync(REPORT, 'utf8'));
    passed += report.numPassedTests;
    failed = report.numFailedTests + report.numPendingTests + report.numTodoTests;
    for (let n = 0; n < failed; n++) failures.push(name);
    if (report.numPassedTests === 0) failures.push(`${name} ran no test`);
  } catch (error) {
    failures.push(`${name} left no report: ${error.message}`);
  }
  if (code !== 0 && failed === 0) failures.push(`${name} ended with exit code ${code}`);
}

/** The examples, with untouched stubs, against a cluster that `up` started. */
async function liveClients() {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-ci-'));
  let cluster;
  try {
    cluster = await startCluster(ROOT, data, ENVIRONMENT);
    count('up is ready', true, cluster.seconds);
    const environment = { HOLDFAST_SERVER: cluster.server };
    const example = (file) => ['node', join('dist', 'examples', 'typescript', file)];
    for (const { name, command } of [
      { name: 'TypeScript example: orders', command: example('orders.js') },
      { name: 'TypeScript example: web shop', command: [...example('web-shop.js'), '--fast'] },
      { name: 'TypeScript example: exactly once', command: example('exactly-once.js') },
      { name: 'TypeScript from the proto alone', command: example('plain-grpc.js') },
      { name: 'Python example', command: ['bash', join('examples', 'python', 'run.sh')] },
      { name: 'grpcurl', command: ['bash', join('examples', 'grpcurl.sh')] },
    ]) {
      await step({ name, command, environment, timeoutMs: 5 * MINUTE_MS });
    }
  } catch (error) {
    console.log(error.message);
    count('live clients', false, 0);
  } finally {
    const clean = await cluster?.stop();
    if (cluster !== undefined) count('up stops and leaves no process', clean, 0);
    rmSync(data, { recursive: true, force: true });
  }
}

mkdirSync(join(ROOT, '.cache'), { recursive: true });
for (const install of installSteps(ROOT, PATH)) await step(install);
await step({ name: 'check', command: ['npm', 'run', 'check'] });
for (const check of deploySteps(PATH)) await step(check);
await tests('test');
await tests('test:slow');
await step({ name: 'simulator, 1000 seeds', command: ['npm', 'run', 'sim', '--', ...SHORT_SIM] });
await liveClients();
await step({ name: 'labs', command: ['npm', 'run', 'labs'] });
await step({ name: 'end-to-end, short', command: ['npm', 'run', 'e2e', '--', ...SHORT_E2E] });
await step({ name: 'fuzz, short', command: ['npm', 'run', 'fuzz', '--', ...SHORT_FUZZ] });
await step({ name: 'chaos, short', command: ['npm', 'run', 'chaos', '--', ...SHORT_CHAOS] });

for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
