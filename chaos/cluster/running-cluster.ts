/** A cluster of somebody else: only what lies between it and its clients can be broken. */
import { join } from 'node:path';
import { freeBasePort } from '../../test/processes/free-ports.ts';
import { UsageError } from '../../test/processes/options.ts';
import type { Need } from '../nemesis/nemesis.ts';
import type { NodeDisk } from '../shim/node-disk.ts';
import { TOPIC } from '../workload/load.ts';
import { NodeStub } from '../workload/node-stub.ts';
import type { AttackedCluster } from './attacked-cluster.ts';
import { Keeper } from './keeper.ts';
import { clientLinks, type Links, proxyPorts, startLinks } from './links.ts';
import type { NodeProcess } from './node-process.ts';
import type { Proxies } from './proxies.ts';
import { toxiproxyBinary } from './toxiproxy.ts';
import type { Leaders, View } from './views.ts';
import { Watch } from './watch.ts';

const CALL_TIMEOUT_MS = 5000;

interface Place {
  readonly node: number;
  readonly grpc: string;
}

export class RunningCluster implements AttackedCluster {
  readonly nodes: readonly number[];
  readonly addresses: readonly string[];
  readonly #watch: Watch;
  readonly #keeper: Keeper;
  readonly #links: Links | undefined;

  private constructor(places: readonly Place[], keeper: Keeper, links: Links | undefined) {
    this.nodes = places.map(({ node }) => node);
    this.addresses = places.map(({ node, grpc }) => links?.clientAddress(node) ?? grpc);
    this.#watch = new Watch(places);
    this.#keeper = keeper;
    this.#links = links;
  }

  /** `folder` gets the log of the proxies. */
  static async reach(folder: string, servers: readonly string[]): Promise<RunningCluster> {
    const places = await placesOf(servers);
    await assertFresh(places);
    const keeper = new Keeper();
    const binary = toxiproxyBinary();
    const paths = clientLinks(places.map(({ node }) => node));
    const base = await freeBasePort(0, proxyPorts(paths));
    const log = join(folder, 'toxiproxy.log');
    const upstream = (node: number) => places.find((place) => place.node === node)!.grpc;
    const plan = {
      base,
      keeper,
      log,
      links: paths.map((link) => [link, upstream(link.to)] as const),
    };
    const links = binary === undefined ? undefined : await startLinks(binary, plan);
    return new RunningCluster(places, keeper, links);
  }

  lacks(need: Need): string | undefined {
    if (need !== 'client-links') return `the ${need} of a running cluster are not ours`;
    return this.#links === undefined ? 'there is no toxiproxy-server on the PATH' : undefined;
  }

  process(node: number): NodeProcess {
    throw new Error(`the process of node ${node} is not ours`);
  }

  disk(node: number): NodeDisk {
    throw new Error(`the disk of node ${node} is not ours`);
  }

  proxies(): Proxies {
    if (this.#links === undefined) throw new Error('there are no proxies');
    return this.#links.proxies;
  }

  async command(words: readonly string[]): Promise<void> {
    throw new Error(`cluster ${words.join(' ')}: a running cluster keeps its members`);
  }

  view(node: number): Promise<View> {
    return this.#watch.view(node);
  }

  whole(timeoutMs: number, wanted: () => boolean): Promise<Leaders | undefined> {
    return this.#watch.whole(timeoutMs, wanted);
  }

  async heal(): Promise<void> {
    await this.#links?.proxies.heal();
  }

  async stop(): Promise<void> {
    this.#watch.close();
    this.#links?.stop();
    this.#keeper.close();
  }
}

/** Every node has to be there: each is read from in the end. */
async function placesOf(servers: readonly string[]): Promise<Place[]> {
  const asked = servers.map(async (grpc): Promise<readonly [Place, number]> => {
    const stub = new NodeStub(0, grpc);
    const answer = await stub.call('Admin.DescribeCluster', {}, CALL_TIMEOUT_MS);
    stub.close();
    if (answer.outcome !== 'ok') throw new UsageError(`--servers: ${grpc}: ${answer.text}`);
    return [{ node: answer.value.node, grpc }, answer.value.nodes.length];
  });
  const answers = await Promise.all(asked);
  const places = answers.map(([place]) => place).sort((a, b) => a.node - b.node);
  const found = new Set(places.map(({ node }) => node)).size;
  const size = answers[0]?.[1] ?? 0;
  if (found === size && places.length === size) return places;
  throw new UsageError(`--servers: must name each of the ${size} nodes once`);
}

/** What an earlier run wrote would look like messages that nobody sent. */
async function assertFresh([first]: readonly Place[]): Promise<void> {
  const stub = new NodeStub(0, first?.grpc ?? '');
  const found = await stub.call('Admin.DescribeTopic', { name: TOPIC }, CALL_TIMEOUT_MS);
  stub.close();
  if (found.outcome !== 'ok') return;
  throw new UsageError(`--servers: topic ${TOPIC} exists; holdfast topic delete ${TOPIC} first`);
}
