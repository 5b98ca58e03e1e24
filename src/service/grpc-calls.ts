/** gRPC calls as `Call`s: deadline, cancellation, admission, errors as trailers. */
import type {
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Caller } from '../security/caller.ts';
import { countedBytes } from '../security/counted-bytes.ts';
import { type CallError, toCallError } from '../status.ts';
import type { Admission } from './admission.ts';
import { type Call, type Calls, clientCall, type Done } from './call.ts';
import type { ServiceConfig } from './config.ts';
import { toGrpcError } from './error-codec.ts';
import type { Guard } from './guard.ts';
import type { CallMeter } from './meters.ts';
import type { Spans } from './spans.ts';
import { asBuffer } from './wire.ts';

export type RawUnary = ServerUnaryCall<Buffer, Buffer>;
export type RawWritable = ServerWritableStream<Buffer, Buffer>;
export type RawDuplex = ServerDuplexStream<Buffer, Buffer>;

/** What runs a unary call on the node that was asked. May throw a CallError at once. */
export type UnaryExecutor = (call: Call, request: Uint8Array, done: Done) => void;

export interface FacadeParts {
  readonly calls: Calls;
  readonly admission: Admission;
  readonly config: ServiceConfig;
  /** undefined: nobody is asked who calls. */
  readonly guard: Guard | undefined;
  readonly onBug: (error: CallError) => void;
  /** undefined: nobody watches. */
  readonly spans: Spans | undefined;
}

/** Milliseconds that a gRPC call has, within what we allow. */
export function timeoutOf(
  grpcCall: { getDeadline(): Date | number },
  config: ServiceConfig,
): number {
  const deadline = grpcCall.getDeadline();
  if (deadline === Number.POSITIVE_INFINITY) return config.defaultCallTimeoutMs;
  return Math.max(0, Math.min(Number(deadline) - Date.now(), config.maxCallTimeoutMs));
}

/** One method, as it runs for each of its calls. */
export interface UnaryMethod {
  readonly path: string;
  readonly execute: UnaryExecutor;
  readonly meter: CallMeter;
  /** Where calls that may wait for long are kept, to be ended when the node stops. */
  readonly polls: Set<Call> | undefined;
}

export function unaryHandler(
  parts: FacadeParts,
  method: UnaryMethod,
): handleUnaryCall<Buffer, Buffer> {
  const { admission, guard } = parts;
  const counted = countedBytes(method.path);
  return (grpcCall: RawUnary, callback: sendUnaryData<Buffer>) => {
    const { request } = grpcCall;
    const refused = admission.enter(request.length);
    if (refused !== undefined) {
      method.meter.answered(refused.reason, 0);
      callback(toGrpcError(refused));
      return;
    }
    if (guard === undefined) {
      run(parts, method, grpcCall, callback, undefined);
      return;
    }
    guard.identify(grpcCall, method.path, (error, caller) => {
      const refusal = error ?? caller!.allowance?.request(counted, request.length);
      if (refusal === undefined) {
        run(parts, method, grpcCall, callback, caller);
        return;
      }
      admission.leave(request.length);
      method.meter.answered(refusal.reason, 0);
      refuse(parts, callback, refusal);
    });
  };
}

function run(
  parts: FacadeParts,
  { execute, meter, path, polls }: UnaryMethod,
  grpcCall: RawUnary,
  callback: sendUnaryData<Buffer>,
  caller: Caller | undefined,
): void {
  const { admission, calls, config, guard, spans } = parts;
  const { request } = grpcCall;
  const span = spans?.begin(path, traceparentOf(grpcCall));
  const beganMs = calls.clock.nowMs();
  let unwatch: (() => void) | undefined;
  const call: Call = calls.open(
    timeoutOf(grpcCall, config),
    clientCall(caller),
    (error, answer) => {
      admission.leave(request.length);
      unwatch?.();
      polls?.delete(call);
      meter.answered(error?.reason ?? 'ok', calls.clock.nowMs() - beganMs);
      span?.end(error?.reason);
      if (error === undefined) {
        if (countedBytes(path) === 'fetchedBytesPerSecond') {
          caller?.allowance?.fetched(answer!.length);
        }
        callback(null, asBuffer(answer!));
        if (!grpcCall.cancelled) call.onSent?.();
      } else refuse(parts, callback, error);
    },
  );
  call.span = span;
  polls?.add(call);
  grpcCall.on('cancelled', () => call.cancel());
  try {
    execute(call, request, call.finish);
  } catch (error) {
    call.finish(toCallError(error), undefined);
  }
  // It may have been cancelled while its token was looked at.
  if (grpcCall.cancelled) call.cancel();
  if (caller === undefined || polls === undefined || call.finished) return;
  unwatch = guard?.watch(caller, (error) => call.cancel(error));
}

/** As the client sent it, unchecked. */
export function traceparentOf({ metadata }: { readonly metadata: Metadata }): string | undefined {
  return metadata.get('traceparent')[0]?.toString();
}

function refuse(parts: FacadeParts, callback: sendUnaryData<Buffer>, error: CallError): void {
  if (error.reason === 'INTERNAL') parts.onBug(error);
  callback(toGrpcError(error));
}

/** Ends a stream with an error in the trailers. */
export function failStream(stream: RawDuplex | RawWritable, error: CallError): void {
  stream.emit('error', toGrpcError(error));
}
