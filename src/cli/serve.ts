/** `holdfast serve`: one node, in the foreground, until told to stop. */
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { pino } from 'pino';
import { type ChildEnd, isStop, reportTo } from '../cluster/control-channel.ts';
import { checkDirectory } from '../cluster/node-directory.ts';
import { assertCanListen } from '../cluster/ports.ts';
import type { RunningNode } from '../cluster/running-node.ts';
import type { NodeConfig } from '../config.ts';
import { loadConfig } from '../config-sources.ts';
import { ExitCode, Failure } from '../failure.ts';
import { repeated } from './options.ts';

/** A node that cannot hand in its work by then is ended; its log is safe at any moment. */
const STOP_TIMEOUT_MS = 10_000;

interface ServeOptions {
  readonly config?: string;
  readonly set: readonly string[];
}

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('run one node of a cluster that was born with "cluster init"')
    .option('--config <file>', 'YAML file; HOLDFAST_… variables and --set override it')
    .option('--set <key=value>', 'one setting, such as raft.electionTimeoutMs=500', repeated, [])
    .action(async (options: ServeOptions) => {
      assertConfigured(options);
      await serve(
        loadConfig({
          file: options.config,
          environment: process.env,
          settings: options.set,
        }),
      );
    });
}

function assertConfigured({ config, set }: ServeOptions): void {
  const isSet = config !== undefined || set.length > 0 || process.env.HOLDFAST_NODE !== undefined;
  if (isSet) return;
  const text = 'serve needs a configuration: --config FILE, such as deploy/node-1.yaml';
  throw new Failure(text, ExitCode.usage);
}

/**
 * V8 lets a heap grow by a third before it marks all of it again, and counts buffers in: with
 * megabytes a moment passing through a small heap it would do little else. Four times is what it
 * grants a busy heap by itself.
 */
const HEAP_GROWTH = '--heap-growing-percent=300';

async function serve(config: NodeConfig): Promise<void> {
  setFlagsFromString(HEAP_GROWTH);
  // Asked to stop while it is still starting: the node starts to its end, then stops in order.
  const stopAsked = whenAskedToStop();
  const { clusterId } = checkDirectory(config);
  const advice = 'stop that process, or change listen in the configuration';
  await assertCanListen(config.listen.grpc, advice);
  await assertCanListen(config.listen.peer, advice);
  if (config.metrics) {
    await assertCanListen(
      config.listen.http,
      'change listen.http, or switch it off: metrics: false',
    );
  }
  const logger = pino(
    { level: config.logLevel, base: { node: config.node } },
    pino.destination({ dest: 1, sync: true }),
  );
  // `main.ts` says the one line; what a bug looked like belongs into the log.
  process.on('uncaughtExceptionMonitor', (err) => logger.fatal({ err }, 'ends'));
  const { startNode } = await import('../node.ts');
  const node: RunningNode = await startNode(config, logger);
  const { grpcPort, peerPort, httpPort } = node;
  logger.info({ clusterId, grpcPort, peerPort, httpPort }, 'serving');
  reportToSupervisor(node);
  logger.info({ reason: await stopAsked }, 'stopping');
  await stopWithin(node, STOP_TIMEOUT_MS);
  logger.info('stopped');
}

/** Resolves with the reason, once. */
function whenAskedToStop(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
    if (process.send === undefined) return;
    const channel: ChildEnd = process;
    channel.on('disconnect', () => resolve('the supervisor is gone'));
    channel.on('message', (message) => {
      if (isStop(message)) resolve('asked by the supervisor');
    });
  });
}

function reportToSupervisor(node: RunningNode): void {
  if (process.send === undefined) return;
  reportTo((message) => {
    // A closed channel has told `whenAskedToStop` already.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }, node.host);
}

async function stopWithin(node: RunningNode, timeoutMs: number): Promise<void> {
  const late = new Promise<never>((_, reject) => {
    const text = `did not stop within ${timeoutMs} ms; ended as it is (nothing stored is lost)`;
    setTimeout(() => reject(new Failure(text)), timeoutMs).unref();
  });
  await Promise.race([node.stop(), late]);
}
