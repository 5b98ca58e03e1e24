/** A real server that says what a test says, for the real clients of the workload. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
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

/** With what it recorded. */
export async function loadOn<M extends MethodName>(
  method: M,
  say: Say<M>,
  level?: string,
): Promise<{ load: Load; recorded: HistoryEvent[] }> {
  const definition = methodDefinition(method);
  const server = new Server();
  server.addService(
    { Call: definition },
    {
      Call: (
        call: { request: Request<M> },
        answer: (error: object | null, value?: object) => void,
      ) => {
        const said = say(call.request);
        if (typeof said === 'object') answer(null, said);
        else answer({ code: status.FAILED_PRECONDITION, details: said, metadata: refusal(said) });
      },
    },
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

function refusal(reason: string): Metadata {
  const metadata = new Metadata();
  metadata.set('holdfast-reason', reason);
  metadata.set('holdfast-retryable', 'false');
  metadata.set('holdfast-outcome-unknown', 'false');
  return metadata;
}
