/**
 * Made-up requests to every RPC of a cluster of real processes. Each must end in time with an
 * answer or an error that has a reason; no node may die or grow, and what a bystander had
 * acknowledged must be there at the end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { connect } from '../../src/client/index.ts';
import { Proto, SERVICE_NAMES } from '../../src/service/proto.ts';
import { Random } from '../../src/sim/random.ts';
import { ClusterProcess } from '../e2e/cluster-process.ts';
import { Bystander } from './bystander.ts';
import { outcomeOf } from './call-outcome.ts';
import { NODE_OPTIONS, NodeMemory } from './node-memory.ts';
import { type Alive, type Messages, RequestMaker } from './requests.ts';
import type { Row } from './row.ts';

const PARALLEL_CALLS = 128;
/** Calls that may wait for something to happen are given up after so long. */
const WAITING_MS = 100;
const WAITING = /\/(Fetch|Receive|PollChecks|Heartbeat|Subscribe|WatchChecks|ProduceStream)$/;
const CALL_MS = 10_000;
/** An answer comes by then, whatever it is. */
const GRACE_MS = 10_000;
const CANCELLED = 0.05;
/**
 * HTTP/2 closes a connection on which too many streams are reset (Node's guard against rapid
 * reset: a thousand, and 33 a second), as waiting calls are when they are given up.
 */
const CALLS_PER_CONNECTION = 500;
/** What is held is compared with what was after the first tenth of a campaign. */
const WARM_UP = 0.1;
/** They change who is in the cluster: last, and never about a node that is. */
const MAX_NODES = 7;
const MEMBERSHIP = ['/holdfast.v1.Admin/RemoveMember', '/holdfast.v1.Admin/AddMember'];

type Method = MethodDefinition<object, object>;

export interface CallCampaign {
  readonly callsPerMethod: number;
  /** RPCs whose path has it. */
  readonly named: string;
  readonly nodes: number;
  readonly seed: number;
  onRow(row: Row): void;
}

export async function fuzzCalls(campaign: CallCampaign): Promise<void> {
  const { callsPerMethod, named, nodes, onRow, seed } = campaign;
  const data = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
  const cluster = await ClusterProcess.start(data, nodes, { NODE_OPTIONS });
  const holdfast = connect({ servers: cluster.servers });
  try {
    const pids = await pidsOf(cluster, nodes);
    const memory = new NodeMemory(cluster.servers, pids);
    const bystander = await Bystander.enter(holdfast);
    for (const [at, method] of methods().entries()) {
      if (!method.path.includes(named)) continue;
      const random = new Random(seed + at);
      const caller = new Caller(cluster.servers[0]!, method, random, await bystander.alive());
      await caller.call(Math.ceil(callsPerMethod * WARM_UP));
      await bystander.check();
      const before = await memory.held();
      const row = await caller.call(callsPerMethod);
      await bystander.check();
      const after = await memory.held();
      const grownBytes = Math.max(...after.map((bytes, node) => bytes - before[node]!));
      onRow({ ...row, grownBytes });
      const now = await pidsOf(cluster, nodes);
      if (now.join() !== pids.join()) throw new Error(`${method.path}: a node has died: ${now}`);
    }
  } finally {
    await holdfast.close();
    await cluster.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** Of the nodes that it was started with. */
async function pidsOf(cluster: ClusterProcess, born: number): Promise<readonly number[]> {
  const { nodes } = await cluster.status();
  return nodes.filter(({ id }) => id <= born).map(({ pid }) => pid);
}

const proto = new Proto();

export function methods(): readonly Method[] {
  const all = SERVICE_NAMES.flatMap((name) => Object.values(proto.methods(name)));
  const last = all.filter(({ path }) => MEMBERSHIP.includes(path));
  return [...all.filter((method) => !last.includes(method)), ...last];
}

export function messagesOfProto(): Messages {
  const found = Object.entries(proto.all).flatMap(([name, definition]) =>
    name.startsWith('holdfast.v1.') && 'type' in definition
      ? [[name.split('.').at(-1)!, definition.type] as const]
      : [],
  );
  return new Map(found) as unknown as Messages;
}

/** Keeps so many calls of one method under way. */
class Caller {
  readonly #server: string;
  readonly #method: Method;
  readonly #random: Random;
  readonly #requests: RequestMaker;
  readonly #timeoutMs: number;

  constructor(server: string, method: Method, random: Random, alive: Alive) {
    this.#server = server;
    this.#method = method;
    this.#random = random;
    this.#requests = new RequestMaker(random, messagesOfProto(), alive);
    this.#timeoutMs = WAITING.test(method.path) ? WAITING_MS : CALL_MS;
  }

  async call(count: number): Promise<Omit<Row, 'grownBytes'>> {
    const counts = { taken: 0, refused: 0, 'ended by the caller': 0 };
    let left = count;
    const lane = async () => {
      let client = this.#connect();
      for (let made = 1; left > 0; made += 1) {
        left -= 1;
        const request = this.#request();
        const error = await this.#once(client, request);
        counts[outcomeOf(this.#method.path, request, error)] += 1;
        if (made % CALLS_PER_CONNECTION !== 0) continue;
        client.close();
        client = this.#connect();
      }
      client.close();
    };
    await Promise.all(Array.from({ length: PARALLEL_CALLS }, lane));
    const { taken, refused } = counts;
    return { name: this.#method.path.slice('/holdfast.v1.'.length), tried: count, taken, refused };
  }

  #connect(): Client {
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    return new Client(this.#server, credentials.createInsecure(), options);
  }

  #request(): Buffer {
    const { path, requestDeserialize, requestType } = this.#method;
    for (;;) {
      const request = this.#requests.make(requestType);
      if (!MEMBERSHIP.includes(path)) return request;
      try {
        const { node } = requestDeserialize(request) as { node?: number };
        if (!(node !== undefined && node >= 1 && node <= MAX_NODES)) return request;
      } catch {
        return request;
      }
    }
  }

  #once(client: Client, request: Buffer): Promise<ServiceError | null> {
    const { path } = this.#method;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${path}: no end; request ${request.toString('hex')}`)),
        this.#timeoutMs + GRACE_MS,
      );
      const call = this.#open(client, request, (error) => {
        clearTimeout(timer);
        resolve(error);
      });
      if (this.#random.chance(CANCELLED)) setImmediate(() => call.cancel());
    });
  }

  #open(
    client: Client,
    request: Buffer,
    done: (error: ServiceError | null) => void,
  ): { cancel(): void } {
    const { path, requestStream, responseStream } = this.#method;
    const same = (bytes: Buffer): Buffer => bytes;
    const options = { deadline: Date.now() + this.#timeoutMs };
    const metadata = new Metadata();
    if (!responseStream) {
      return client.makeUnaryRequest(path, same, same, request, metadata, options, done);
    }
    const listen = <Stream extends NodeJS.EventEmitter>(stream: Stream): Stream => {
      stream.on('data', () => undefined);
      stream.on('error', (error) => done(error as ServiceError));
      stream.on('end', () => done(null));
      return stream;
    };
    if (!requestStream) {
      return listen(client.makeServerStreamRequest(path, same, same, request, metadata, options));
    }
    const stream = listen(client.makeBidiStreamRequest(path, same, same, metadata, options));
    this.#frames(stream, request);
    return stream;
  }

  #frames(stream: { write(frame: Buffer): void; end(): void }, first: Buffer): void {
    stream.write(first);
    const more = this.#random.between(0, 3);
    for (let frame = 0; frame < more; frame += 1) stream.write(this.#request());
    if (this.#random.chance(0.7)) stream.end();
  }
}
