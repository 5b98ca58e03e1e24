/** A real server that says what a test says, for the real clients of the workload. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type handleUnaryCall, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { type HistoryEvent, HistoryWriter } from '../../../chaos/history.ts';
import { Load } from '../../../chaos/workload/load.ts';
import {
  type MethodName,
  methodDefinition,
  type Request,
  type Response,
} from '../../../chaos/workload/methods.ts';

/** A reason refuses the call for certain. */
export type Say<M extends MethodName> = (request: Request<M>) => Response<M> | string;

type Says = { readonly [M in MethodName]?: Say<M> };
type Loaded = { load: Load; recorded: HistoryEvent[] };
type Handler = handleUnaryCall<Request<MethodName>, object>;

/** With what it recorded. */
export function loadOn<M extends MethodName>(
  method: M,
  say: Say<M>,
  level?: string,
): Promise<Loaded> {
  return loadOnAll({ [method]: say }, level);
}

export async function loadOnAll(says: Says, level?: string): Promise<Loaded> {
  const names = Object.keys(says) as MethodName[];
  const server = new Server();
  server.addService(
    Object.fromEntries(names.map((name) => [name, methodDefinition(name)])),
    Object.fromEntries(names.map((name) => [name, handlerOf(says[name] as Say<MethodName>)])),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  const recorded: HistoryEvent[] = [];
  const history = new HistoryWriter(join(folder, 'history.jsonl'), (event) => recorded.push(event));
  onTestFinished(() => {
    server.forceShutdown();
    history.close();
    rmSync(folder, { recursive: true });
  });
  return { load: new Load([`127.0.0.1:${port}`], 1, history, level), recorded };
}

function handlerOf(say: Say<MethodName>): Handler {
  return (call, answer) => {
    const said = say(call.request);
    if (typeof said === 'object') answer(null, said);
    else answer({ code: status.FAILED_PRECONDITION, details: said, metadata: refusal(said) });
  };
}

function refusal(reason: string): Metadata {
  const metadata = new Metadata();
  metadata.set('holdfast-reason', reason);
  metadata.set('holdfast-retryable', 'false');
  metadata.set('holdfast-outcome-unknown', 'false');
  return metadata;
}
