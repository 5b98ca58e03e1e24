/** Images, compose, chart and unit of deploy/, held against the code: nothing here is run. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { formatAddress } from '../src/address.ts';
import { fullProgram } from '../src/cli/index.ts';
import { agreedMembers } from '../src/cluster/birth.ts';
import { checkConfig, knownKeys, loadConfig, variableOf } from '../src/config-sources.ts';
import { packageRoot, packageVersion } from '../src/package-root.ts';

const NODES = [1, 2, 3];
const HEALTH_PATHS = ['/healthz', '/readyz'];
const place = (file: string): string => join(packageRoot(), file);
const read = (file: string): string => readFileSync(place(file), 'utf8');
const manifest = JSON.parse(read('package.json')) as { files: string[]; engines: { node: string } };

/** undefined when the words are a command with these options; else what is wrong. */
function wrongCall(program: Command, words: readonly string[]): string | undefined {
  let command = program;
  let at = 0;
  for (; at < words.length; at++) {
    const next = command.commands.find((one) => one.name() === words[at]);
    if (next === undefined) break;
    command = next;
  }
  if (command === program || command.commands.length > 0) return `no command ${words.join(' ')}`;
  const long = words.slice(at).filter((word) => word.startsWith('--'));
  const unknown = long.find((word) => !command.options.some((option) => option.long === word));
  return unknown === undefined ? undefined : `no option ${unknown}`;
}

/** The instructions of a Dockerfile, each on one line. */
function instructions(file: string): readonly string[] {
  const text = read(file)
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '');
  return text.split('\n').filter((line) => line.trim() !== '');
}

const jsonOf = (line: string): string[] => JSON.parse(line.slice(line.indexOf('['))) as string[];

describe('the image', () => {
  const lines = instructions('deploy/docker/Dockerfile');
  const last = (word: string) => lines.findLast((line) => line.startsWith(`${word} `))!;

  it('holds what the package holds, and nothing of it twice', () => {
    const copied = lines
      .filter((line) => line.startsWith('COPY --from=build'))
      .flatMap((line) => line.split(' ').slice(2, -1))
      .map((path) => path.replace('/build/', ''));
    const needed = manifest.files.filter((path) => !/^!|\.md$|^LICENSE$/.test(path));
    const own = ['package.json', 'deploy/docker/healthcheck.mjs', 'node_modules'];
    expect(copied.toSorted()).toEqual([...own, ...needed].toSorted());
  });

  it('is built from what .dockerignore lets in', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(allowed.filter((path) => !existsSync(place(path)))).toEqual([]);
    const { include } = JSON.parse(read('tsconfig.json')) as { include: string[] };
    for (const path of [...include, 'package-lock.json', '.npmrc', '.ci/prepare.mjs', 'proto']) {
      expect(allowed).toContain(path);
    }
  });

  it('runs a known command, not as root, on a Node that is new enough', async () => {
    const entry = jsonOf(last('ENTRYPOINT'));
    expect(entry).toEqual(['node', '/opt/holdfast/dist/src/bin.cjs']);
    expect(wrongCall(await fullProgram(), jsonOf(last('CMD')))).toBeUndefined();
    expect(last('USER')).toBe('USER 1000:1000');
    const [, major] = /^FROM node:(\d+)/.exec(last('FROM'))!;
    expect(manifest.engines.node).toBe(`>=${major}.19`);
    const check = jsonOf(last('HEALTHCHECK'));
    expect(existsSync(place(`deploy/docker/${check[1]!.split('/').at(-1)}`))).toBe(true);
    expect(HEALTH_PATHS).toContain(check[2]);
    expect(read('deploy/docker/healthcheck.mjs')).toContain("port = '7600'");
    expect(last('ENV')).toContain('HOLDFAST_SERVER=127.0.0.1:7400');
    expect(last('EXPOSE')).toBe('EXPOSE 7400 7500 7600');
  });
});

interface ComposeService {
  readonly image?: string;
  readonly command?: string[];
  readonly ports?: string[];
  readonly volumes?: string[];
  readonly environment?: Record<string, string>;
  readonly depends_on?: Record<string, { condition: string }>;
  readonly healthcheck?: { test: string[] };
}

describe('compose', () => {
  const compose = (file: string) =>
    parse(read(`deploy/docker/${file}`), { merge: true }) as {
      services: Record<string, ComposeService>;
      volumes?: Record<string, unknown>;
    };
  const { services, volumes } = compose('compose.yaml');
  const configs = NODES.map((node) =>
    loadConfig({ file: place(`deploy/docker/node-${node}.yaml`) }),
  );

  it('every node has its own volume, its configuration and its ports', () => {
    expect(agreedMembers(configs)).toEqual(NODES);
    for (const config of configs) {
      const { advertise, data, listen, node } = config;
      const service = services[`node-${node}`]!;
      expect(service.image).toBe(`holdfast:${packageVersion()}`);
      expect(service.volumes).toEqual([
        `./node-${node}.yaml:/etc/holdfast/node.yaml:ro`,
        `node-${node}:${data}`,
      ]);
      expect(volumes).toHaveProperty(`node-${node}`);
      expect(service.ports).toEqual([
        `127.0.0.1:${7400 + node}:${listen.grpc.port}`,
        `127.0.0.1:${7600 + node}:${listen.http.port}`,
      ]);
      expect(service.healthcheck?.test.slice(0, 1)).toEqual(['CMD']);
      expect(HEALTH_PATHS).toContain(service.healthcheck?.test.at(-1));
      expect(service.depends_on?.birth?.condition).toBe('service_completed_successfully');
      expect(formatAddress(advertise.grpc)).toBe(`node-${node}:${listen.grpc.port}`);
      // The same port as of the image's health check.
      expect(listen.http.port).toBe(7600);
    }
  });

  it('the birth may be given at every start, and sees all volumes', async () => {
    const { command = [], volumes: mounted = [] } = services.birth!;
    expect(wrongCall(await fullProgram(), command)).toBeUndefined();
    expect(command).toContain('--once');
    for (const { data, node } of configs) {
      expect(command).toContain(`/etc/holdfast/node-${node}.yaml`);
      expect(mounted).toContain(`./node-${node}.yaml:/etc/holdfast/node-${node}.yaml:ro`);
      expect(mounted).toContain(`node-${node}:${data}`);
    }
    expect(read('deploy/docker/Dockerfile')).toContain(configs.map(({ data }) => data)[0]);
  });

  it('with toxiproxy every link has a proxy of its own', () => {
    const chaos = compose('compose.chaos.yaml').services;
    const proxies = JSON.parse(read('deploy/docker/toxiproxy.json')) as {
      name: string;
      listen: string;
      upstream: string;
    }[];
    expect(new Set(proxies.map(({ listen }) => listen)).size).toBe(6);
    for (const { advertise, node } of configs) {
      for (const [name, value] of Object.entries(chaos[`node-${node}`]!.environment!)) {
        const settings = { [name]: value };
        const config = loadConfig({
          file: place(`deploy/docker/node-${node}.yaml`),
          environment: settings,
        });
        expect([...config.peers.keys()]).toEqual(NODES.filter((other) => other !== node));
        for (const [other, { host, port }] of config.peers) {
          expect(host).toBe('toxiproxy');
          const proxy = proxies.find(({ listen }) => listen === `0.0.0.0:${port}`);
          expect(proxy?.name).toBe(`${node}-to-${other}`);
          const { peer } = configs[other - 1]!.advertise;
          expect(proxy?.upstream).toBe(formatAddress(peer));
        }
      }
      expect(advertise.peer.host).not.toBe('toxiproxy');
    }
    const version = /toxiproxy\/v2\/cmd\/server@(v[\d.]+)/;
    const built = version.exec(read('deploy/docker/toxiproxy.Dockerfile'))![1];
    expect(built).toBe(version.exec(read('.ci/tools.mjs'))![1]);
    expect(chaos.toxiproxy!.image).toBe(`holdfast-toxiproxy:${built!.slice(1)}`);
  });
});

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: string[];
  readonly command?: string[];
  readonly env: { name: string; value?: string; valueFrom?: unknown }[];
  readonly ports: { name: string; containerPort: number }[];
}

describe('the chart, as it is rendered', () => {
  const documents = parseAllDocuments(read('deploy/helm/rendered.yaml')).map(
    (document) => document.toJS() as { kind: string; metadata: { name: string } },
  );
  const only = <T>(kind: string) => documents.find((one) => one.kind === kind) as T;
  const set = only<{
    spec: {
      serviceName: string;
      ordinals: { start: number };
      podManagementPolicy: string;
      template: { spec: { containers: Container[]; initContainers: Container[] } };
    };
  }>('StatefulSet').spec;
  const [node] = set.template.spec.containers as [Container];
  const [identity] = set.template.spec.initContainers as [Container];
  const file = only<{ data: Record<string, string> }>('ConfigMap').data['node.yaml']!;
  const chart = parse(read('deploy/helm/holdfast/Chart.yaml')) as Record<string, string>;

  it('is of this version', () => {
    expect([chart.version, chart.appVersion]).toEqual([packageVersion(), packageVersion()]);
    expect([node.image, identity.image]).toEqual(Array(2).fill(`holdfast:${packageVersion()}`));
  });

  it('a node takes the configuration, its name and its ports', () => {
    const environment = Object.fromEntries(
      node.env
        .filter(({ name }) => name.startsWith('HOLDFAST_ADVERTISE'))
        .map(({ name, value }) => [name, value!.replaceAll(/\$\((\w+)\)/g, '$1')]),
    );
    expect(Object.keys(environment)).toHaveLength(2);
    const tree = { ...(parse(file) as object), node: 1, advertise: {} };
    for (const name of ['grpc', 'peer'] as const) {
      const value = environment[`HOLDFAST_ADVERTISE_${name.toUpperCase()}`]!;
      Object.assign(tree.advertise, { [name]: value });
      expect(value).toContain(`.${set.serviceName}.`);
    }
    const { listen } = checkConfig(tree, 'node.yaml');
    expect(node.ports).toEqual([
      { name: 'grpc', containerPort: listen.grpc.port },
      { name: 'peer', containerPort: listen.peer.port },
      { name: 'http', containerPort: listen.http.port },
    ]);
  });

  it('sets no variable that serve would refuse', () => {
    const known = new Set([...knownKeys().map(variableOf)]);
    const helpers = read('deploy/helm/holdfast/templates/_helpers.tpl');
    const named = [...helpers.matchAll(/name: (HOLDFAST_\w+)/g)].map((match) => match[1]!);
    const clients = ['HOLDFAST_SERVER', 'HOLDFAST_CA', 'HOLDFAST_CERT', 'HOLDFAST_CERT_KEY'];
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !known.has(name) && !clients.includes(name))).toEqual([]);
  });

  it('calls commands that exist', async () => {
    const program = await fullProgram();
    expect(wrongCall(program, node.args!)).toBeUndefined();
    const notes = read('deploy/helm/holdfast/templates/NOTES.txt');
    const calls = [identity.command!.at(-1)!, notes].flatMap((text) =>
      [...text.matchAll(/holdfast (cluster [^;\n]+)/g)].map((match) => match[1]!.split(/\s+/)),
    );
    expect(calls).toHaveLength(3);
    expect(calls.map((words) => wrongCall(program, words)).filter(Boolean)).toEqual([]);
    expect(wrongCall(program, ['cluster', 'add', '--twice'])).toBe('no option --twice');
  });

  it('asks for pages that exist', () => {
    const asked = [...read('deploy/helm/rendered.yaml').matchAll(/path: (\/[a-z]+),/g)];
    expect(asked.map((match) => match[1])).toEqual(['/healthz', '/healthz', '/readyz']);
    expect(read('src/node.ts') + read('src/observe/observer.ts')).toContain(`'${HEALTH_PATHS[1]}'`);
  });

  it('starts all pods at once, counts from 1, and lets one go at a time', () => {
    expect([set.ordinals.start, set.podManagementPolicy]).toEqual([1, 'Parallel']);
    const budget = only<{ spec: { maxUnavailable: number } }>('PodDisruptionBudget');
    expect(budget.spec.maxUnavailable).toBe(1);
  });
});

describe('the systemd unit', () => {
  const unit = read('deploy/systemd/holdfast@.service');
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];

  it('starts a node on the directory that it may write to', async () => {
    const [, bin, ...words] = value('ExecStart')!.split(' ');
    expect(bin).toBe('/opt/holdfast/dist/src/bin.cjs');
    expect(wrongCall(await fullProgram(), words)).toBeUndefined();
    const { data } = loadConfig({ file: place('deploy/systemd/node-1.yaml') });
    expect(`/var/lib/${value('StateDirectory')!.replace('%i', '1')}`).toBe(data);
  });

  it('is stopped in order, and not restarted on a wrong configuration', () => {
    expect(value('KillSignal')).toBe('SIGTERM');
    const [, seconds] = /STOP_TIMEOUT_MS = (\d+)_000;/.exec(read('src/cli/serve.ts'))!;
    expect(Number(value('TimeoutStopSec'))).toBeGreaterThan(Number(seconds));
    expect(read('src/failure.ts')).toMatch(
      new RegExp(`usage: ${value('RestartPreventExitStatus')}\\b`),
    );
  });
});
