/** Spans of calls at a collector: one trace from the client over the node asked to the leader. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UpProcess } from '../processes/up-process.ts';
import { methodOf, Stubs } from './stubs.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PATIENCE = { timeout: 15_000 };
const CANARY = 'canary-payload';

interface Exported {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly node: string;
  readonly status: { readonly code?: number; readonly message?: string };
}

interface Value {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}
interface Body {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Value[] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<Exported, 'node'>[] }[];
  }[];
}

const directory = mkdtempSync(join(tmpdir(), 'holdfast-tracing-'));
const spans: Exported[] = [];
let received = '';
let collector: Server;
let up: UpProcess;
let stubs: Stubs;

function take(text: string): void {
  received += text;
  for (const { resource, scopeSpans } of (JSON.parse(text) as Body).resourceSpans) {
    const id = resource.attributes.find(({ key }) => key === 'service.instance.id');
    const node = id?.value.stringValue ?? '';
    for (const scope of scopeSpans) spans.push(...scope.spans.map((span) => ({ ...span, node })));
  }
}

beforeAll(async () => {
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      take(Buffer.concat(chunks).toString());
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}/v1/traces`;
  // None but those whose caller asks for it.
  const settings = [`tracing.endpoint=${endpoint}`, 'tracing.sampleRatio=0'];
  up = await UpProcess.start({ data: join(directory, 'd'), settings });
  stubs = new Stubs(up.servers[0]!);
  await stubs.createTopic('orders');
});

afterAll(async () => {
  stubs?.close();
  await up?.stop();
  collector?.close();
  rmSync(directory, { recursive: true, force: true });
});

function produce(queue: number, topic: string, metadata: Metadata): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = methodOf('Log', 'Produce');
  const request = { topic, queue, messages: [{ body: Buffer.from(CANARY) }] };
  return new Promise((resolve) => {
    stubs.client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      resolve,
    );
  });
}

it('a call that its caller watches is one trace over the nodes', async () => {
  const metadata = new Metadata();
  metadata.set('traceparent', `00-${TRACE}-${SPAN}-01`);
  // Three queues have three leaders: two of the calls are forwarded.
  for (const queue of [0, 1, 2]) await produce(queue, 'orders', new Metadata());
  for (const queue of [0, 1, 2]) await produce(queue, 'orders', metadata);
  await produce(0, 'none', metadata);
  const asked = () => spans.filter(({ parentSpanId }) => parentSpanId === SPAN);
  await expect.poll(() => asked().length, PATIENCE).toBe(4);
  const forwards = () => spans.filter(({ name }) => name.startsWith('forward'));
  const below = (span: Exported) => spans.filter((one) => one.parentSpanId === span.spanId);
  // Each node sends its own, when it comes to it.
  const followed = () => forwards().filter((span) => below(span).length > 0).length;
  await expect.poll(followed, PATIENCE).toBe(2);
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([TRACE]));
  expect(asked().map(({ name, node }) => [name, node])).toEqual(
    Array.from({ length: 4 }, () => ['holdfast.v1.Log/Produce', '1']),
  );
  expect(asked().filter(({ status }) => status.message === 'TOPIC_NOT_FOUND')).toHaveLength(1);
  expect(forwards()).toHaveLength(2);
  for (const span of forwards()) {
    expect(below(span).map(({ name }) => name)).toEqual(['holdfast.v1.Log/Produce']);
    expect(below(span)[0]!.node).not.toBe(span.node);
  }
  expect(received).not.toContain(CANARY);
});
