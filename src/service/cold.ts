/** Cold calls are written with promises; this is the bridge to the callback world below. */
import type { Router } from '../router.ts';
import { permissionOf } from '../security/permissions.ts';
import { type CallError, toCallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import type { ShardMethod } from './methods.ts';
import { shardTarget } from './methods.ts';
import { decodeRequest, encodeResponse, type ProtoMethod } from './proto.ts';

/** Asks the leader of a shard an internal question. */
export function ask<Answer>(
  router: Router,
  call: Call,
  method: ShardMethod,
  shard: number,
  question: unknown,
): Promise<Answer> {
  const body = question instanceof Uint8Array ? question : encodeJson(question);
  return new Promise((resolve, reject) => {
    const child = call.child((error, answer) => {
      if (error !== undefined) reject(error);
      else resolve(decodeJson<Answer>(answer!));
    });
    router.route(child, { method, target: shardTarget(shard), body }, child.finish);
  });
}

/** Waits for a callback step of the call itself. */
export function step<Value>(
  run: (done: (error: CallError | undefined, value: Value | undefined) => void) => void,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    run((error, value) => {
      if (error !== undefined) reject(error);
      else resolve(value as Value);
    });
  });
}

/** Runs an async handler between a decoded request and an encoded response. */
export function runCold<Request>(
  method: ProtoMethod,
  handler: (call: Call, request: Request) => Promise<object>,
): (call: Call, bytes: Uint8Array, done: Done) => void {
  return (call, bytes, done) => {
    const request = decodeRequest<Request>(method, bytes);
    authorise(call, method.path, request);
    handler(call, request).then(
      (response) => finish(method, response, done),
      (error: unknown) => done(toCallError(error), undefined),
    );
  };
}

/** As the table of permissions has it: the names stand in the request. */
export function authorise(call: Call, path: string, request: unknown): void {
  if (call.caller === undefined) return;
  const { asks, demands, isLogged } = permissionOf(path);
  if (asks === 'known') call.demandNothing();
  if (asks !== 'request') return;
  for (const demand of demands) {
    const fields = request as Readonly<Record<string, unknown>>;
    const value = demand.field === '' ? '' : fields[demand.field];
    const names = (Array.isArray(value) ? value : [value]) as readonly string[];
    if (demand.isOptional && names.every((name) => name === '')) continue;
    for (const name of names) call.demand(demand, name);
  }
  if (isLogged) call.caller.changes();
}

function finish(method: ProtoMethod, response: object, done: Done): void {
  let bytes: Buffer;
  try {
    bytes = encodeResponse(method, response);
  } catch (error) {
    done(toCallError(error), undefined);
    return;
  }
  done(undefined, bytes);
}
