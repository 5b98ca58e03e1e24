/** `holdfast up`: a local cluster of real processes, kept alive until Ctrl-C. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { lockDirectory } from '../../storage/lock.ts';
import { formatAddress } from '../address.ts';
import { makeDirectoryDurably } from '../cluster/durable-file.ts';
import {
  AUTH_DIRECTORY,
  deleteLocalCluster,
  type LocalAuth,
  type LocalCluster,
  type LocalNode,
  type LocalTls,
  openLocalCluster,
  TLS_DIRECTORY,
  writeConfigs,
} from '../cluster/local-cluster.ts';
import { launchNodeProcess } from '../cluster/node-process.ts';
import { assertCanListen } from '../cluster/ports.ts';
import { Supervisor, type SupervisorEvent, startFailure } from '../cluster/supervisor.ts';
import { GRPC_PORT_BASE } from '../config.ts';
import { loadConfig } from '../config-sources.ts';
import { packageVersion } from '../package-root.ts';
import { repeated, wholeNumber } from './options.ts';

const DEFAULT_ROOT = '.holdfast';
/** Processes on one machine. */
const NODES_MAX = 7;
/** A second signal this soon is taken for the same impatient key press. */
const FORCE_AFTER_MS = 3000;
/** They name one node, so they must not reach all of them. */
const PER_NODE_VARIABLES = [
  ...['NODE', 'DATA', 'LISTEN_GRPC', 'LISTEN_PEER', 'LISTEN_HTTP', 'PEERS', 'CLUSTER_ID'],
];

interface UpOptions {
  readonly nodes?: number;
  readonly data: string;
  readonly basePort: number;
  readonly fresh: boolean;
  readonly leash: boolean;
  readonly tls: boolean;
  readonly auth: boolean;
  readonly set: readonly string[];
  readonly webhook: readonly WebhookOption[];
}

interface WebhookOption {
  readonly group: string;
  readonly url: string;
}

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run a cluster on this machine: real processes, restarted when they die')
    .option('--nodes <n>', 'how many (default: 3)', wholeNumber(1, NODES_MAX))
    .option('--data <dir>', 'where the data is kept', DEFAULT_ROOT)
    .option(
      '--base-port <p>',
      'node i serves gRPC on p+i, its peers on p+100+i, metrics on p+200+i',
      wholeNumber(1, 65_000),
      GRPC_PORT_BASE,
    )
    .option('--fresh', 'delete the data of the cluster in --data first', false)
    .option('--leash', 'stop when standard input ends, as it does when its starter dies', false)
    .option('--tls', 'encrypt, with certificates that are made for it in DIR/tls', false)
    .option('--auth', 'ask who calls; keys and the token of an admin are made in DIR/auth', false)
    .option('--set <key=value>', 'a setting for all nodes, see docs/operations.md', repeated, [])
    .option(
      '--webhook <GROUP=URL>',
      'ask this producer group about its undecided transactions by POST to this URL',
      webhookOption,
      [],
    )
    .action(up);
}

function webhookOption(text: string, before: readonly WebhookOption[]): readonly WebhookOption[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('must be GROUP=URL.');
  return [...before, { group: text.slice(0, at), url: text.slice(at + 1) }];
}

/** With what --webhook means, as the nodes take it. */
function settingsOf({ set, webhook }: UpOptions): readonly string[] {
  if (webhook.length === 0) return set;
  const webhooks = Object.fromEntries(webhook.map(({ group, url }) => [group, { url }]));
  const settings = [...set, `transactions.webhooks=${JSON.stringify(webhooks)}`];
  // Here, and not first in the logs of the nodes.
  loadConfig({ settings: ['node=1', 'data=.', ...settings] });
  return settings;
}

async function up(options: UpOptions): Promise<void> {
  const root = resolve(options.data);
  const settings = settingsOf(options);
  makeDirectoryDurably(root);
  const lock = lockDirectory(root);
  try {
    if (options.fresh) deleteLocalCluster(root);
    const cluster = openLocalCluster({
      root,
      nodes: options.nodes,
      basePort: options.basePort,
      birth: {},
      createdAtMs: Date.now(),
    });
    const tlsOf = options.tls ? await encrypt(cluster, join(root, TLS_DIRECTORY)) : undefined;
    const auth = options.auth ? await closeDoors(cluster, join(root, AUTH_DIRECTORY)) : undefined;
    writeConfigs(cluster, tlsOf, auth);
    await assertPortsFree(cluster, options);
    await supervise(cluster, options, settings);
  } finally {
    lock.release();
  }
}

const AUTHORITY_DAYS = 3650;
/** They are made anew at every start. */
const NODE_DAYS = 365;

/** One CA for the life of the cluster, so that clients can keep it. */
async function encrypt(
  cluster: LocalCluster,
  directory: string,
): Promise<(node: number) => LocalTls> {
  const certificates = await import('../security/certificate-directory.ts');
  const { AUTHORITY, hasAuthority, newAuthority, newNodeCertificate, pathsOf } = certificates;
  const { clusterId } = cluster;
  const nowMs = Date.now();
  if (!hasAuthority(directory)) await newAuthority(directory, { days: AUTHORITY_DAYS, nowMs });
  for (const { node } of cluster.nodes) {
    await newNodeCertificate(directory, { node, clusterId, hosts: [], days: NODE_DAYS, nowMs });
  }
  const ca = pathsOf(directory, AUTHORITY).cert;
  return (node) => ({ ...pathsOf(directory, `node-${node}`), ca });
}

const ADMIN = 'admin';
const ADMIN_TOKEN = 'admin.token';
/** As long as nodes take one by default. */
const ADMIN_HOURS = 24;

/** One key for the life of the cluster; a token of the admin at every start. */
async function closeDoors({ clusterId }: LocalCluster, directory: string): Promise<LocalAuth> {
  const { newTokenKey, tokenKeyPaths } = await import('../security/token-files.ts');
  const { readSigningKey } = await import('../security/token-keys.ts');
  const { issueToken } = await import('../security/tokens.ts');
  const path = join(directory, 'tokens');
  const { key, publicKey } = tokenKeyPaths(path);
  if (!existsSync(key)) newTokenKey(path);
  const lifetimeMs = ADMIN_HOURS * 3_600_000;
  const wish = { clusterId, principal: ADMIN, lifetimeMs, nowMs: Date.now() };
  const { token } = await issueToken(await readSigningKey(key), wish);
  const file = join(directory, ADMIN_TOKEN);
  // A file that is there keeps its rights.
  rmSync(file, { force: true });
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  return { publicKey, admin: ADMIN };
}

async function assertPortsFree({ nodes }: LocalCluster, options: UpOptions): Promise<void> {
  const advice = `stop that process, or choose other ports: --base-port ${options.basePort + 1000}`;
  const isServed = servesHttp(options);
  for (const { grpc, peer, http } of nodes) {
    await assertCanListen(grpc, advice);
    await assertCanListen(peer, advice);
    if (isServed) await assertCanListen(http, `${advice}, or leave it out: --set metrics=false`);
  }
}

/** As the nodes will read it. */
function servesHttp({ set }: UpOptions): boolean {
  const setting = set.findLast((one) => one.startsWith('metrics='))?.slice('metrics='.length);
  return (setting ?? process.env.HOLDFAST_METRICS) !== 'false';
}

/** Until the cluster is stopped by a signal, or cannot start. */
async function supervise(
  cluster: LocalCluster,
  options: UpOptions,
  settings: readonly string[],
): Promise<void> {
  let supervisor: Supervisor | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      supervisor = new Supervisor(
        cluster.nodes.map(({ node }) => node),
        {
          launch: (node, events) => launch(cluster.nodes[node - 1]!, settings, events),
          nowMs: () => performance.now(),
          after: cancellableTimer,
          onEvent: (event) => {
            if (event.type === 'failed') reject(startFailure(event.node, event.reason));
            else report(event);
          },
        },
      );
      onStopSignals(supervisor, () => {
        if (!options.leash) console.error('stopping (again after 3 s to force)');
        resolve();
      });
      if (options.leash) onStdinEnd(resolve);
      supervisor.start();
      announce(cluster, supervisor, options);
    });
  } finally {
    await supervisor?.stop();
  }
}

function announceAuth({ clusterId }: LocalCluster, { data }: UpOptions, holdfast: string): void {
  const directory = join(data, AUTH_DIRECTORY);
  const token = join(directory, ADMIN_TOKEN);
  console.log(`  export HOLDFAST_TOKEN=$(cat ${token})  # may do everything, for ${ADMIN_HOURS} h`);
  const key = `--key ${join(directory, 'tokens.key')} --cluster ${clusterId}`;
  console.log(`  # for others: ${holdfast} token issue ${key} --principal NAME`);
  console.log(`  #             ${holdfast} acl grant NAME produce,fetch --topic orders`);
}

/** Of the cluster under `data`, as its clients name it. */
function authorityOf(data: string): string {
  return join(data, TLS_DIRECTORY, 'ca.crt');
}

function cancellableTimer(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => {
    clearTimeout(timer);
  };
}

function launch(
  node: LocalNode,
  settings: readonly string[],
  events: Parameters<typeof launchNodeProcess>[1],
): ReturnType<typeof launchNodeProcess> {
  const environment = { ...process.env };
  for (const name of PER_NODE_VARIABLES) delete environment[`HOLDFAST_${name}`];
  const bin = join(fileURLToPath(new URL('.', import.meta.url)), '..', 'bin.cjs');
  const flags = settings.flatMap((setting) => ['--set', setting]);
  return launchNodeProcess(
    {
      command: [bin, 'serve', '--config', node.configFile, ...flags],
      environment,
      logFile: node.logFile,
    },
    events,
  );
}

/** The first signal drains; one more, not at once, ends what is left. */
function onStopSignals(supervisor: Supervisor, stop: () => void): void {
  let askedAtMs: number | undefined;
  const onSignal = () => {
    if (askedAtMs === undefined) {
      askedAtMs = performance.now();
      stop();
    } else if (performance.now() - askedAtMs >= FORCE_AFTER_MS) {
      supervisor.kill();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}

/** A starter that gave us a pipe holds its other end, which closes however that process ends. */
function onStdinEnd(stop: () => void): void {
  const onEnd = () => {
    console.error('stopping: standard input ended (--leash)');
    stop();
  };
  process.stdin.once('end', onEnd).once('error', onEnd).resume();
}

function report(event: Exclude<SupervisorEvent, { type: 'failed' }>): void {
  if (event.type === 'ready') console.log('ready');
  else if (event.type === 'restarted') console.error(`node ${event.node}: pid ${event.pid}`);
  else console.error(`node ${event.node} died (${event.reason}); again in ${event.delayMs} ms`);
}

/** Everything before the line `ready`, printed while the nodes start. */
function announce(cluster: LocalCluster, supervisor: Supervisor, options: UpOptions): void {
  const count = cluster.nodes.length;
  const age = cluster.newborn ? 'new cluster' : 'cluster';
  console.log(`holdfast ${packageVersion()}: ${age} ${cluster.clusterId}, data in ${options.data}`);
  for (const { node, grpc, peer, logFile } of cluster.nodes) {
    const pid = supervisor.pidOf(node) ?? '-';
    const at = `gRPC ${formatAddress(grpc)}  peers ${formatAddress(peer)}  pid ${pid}`;
    console.log(`  node ${node}  ${at}  log ${logFile}`);
  }
  const holdfast = process.env.npm_config_user_agent === undefined ? 'holdfast' : 'npx holdfast';
  const first = cluster.nodes[0]!.grpc;
  const isDefault = first.port === GRPC_PORT_BASE + 1;
  const server = isDefault ? '' : ` --server ${formatAddress(first)}`;
  console.log(`In another terminal (any of the ${count} addresses will do):`);
  if (options.tls) console.log(`  export HOLDFAST_CA=${authorityOf(options.data)}`);
  if (options.auth) announceAuth(cluster, options, holdfast);
  console.log(`  ${holdfast} topic create orders${server}`);
  console.log(`  echo "hello" | ${holdfast} produce orders${server}`);
  console.log(`  ${holdfast} consume orders --from earliest${server}`);
  const { http } = cluster.nodes[0]!;
  if (servesHttp(options)) {
    console.log(`Metrics of node 1: http://${formatAddress(http)}/metrics (and /healthz, /readyz)`);
  }
  console.log('Ctrl-C stops the cluster; the data stays.');
}
