import {
  InterceptingCall,
  type Interceptor,
  Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { TlsOptions } from './tls.ts';

/** What says who calls: a token, or where one is had, asked before each call and stream. */
export type TokenSource = string | (() => string | Promise<string>);

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d+$/;
/** Metadata holds no others, and an error must not show what they were. */
const TOKEN = /^[A-Za-z0-9._~+/=-]+$/;

/** Throws a TypeError where a token would be seen on its way. */
export function assertConcealed(
  token: TokenSource | undefined,
  addresses: readonly string[],
  tls: TlsOptions | undefined,
): void {
  if (token === undefined || tls !== undefined) return;
  const open = addresses.find((address) => !LOOPBACK.test(address));
  if (open === undefined) return;
  throw new TypeError(
    `token: on the way to ${open} everybody could read it; use TLS (--ca, \`tls\` of connect)`,
  );
}

/** Puts the token before every call, unary or not. */
export function tokenInterceptor(source: TokenSource): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        const begin = (token: string) => {
          const text = token.trim();
          if (!TOKEN.test(text)) throw new TypeError('what it gave is no token');
          metadata.set('authorization', `Bearer ${text}`);
          next(metadata, typeof source === 'string' ? listener : { ...listener, onReceiveStatus });
        };
        const onReceiveStatus = (ended: StatusObject) => {
          listener.onReceiveStatus(isOutdated(ended) ? again(ended) : ended);
        };
        const fail = (error: unknown) => listener.onReceiveStatus(noToken(error));
        if (typeof source === 'string') begin(source);
        else Promise.resolve().then(source).then(begin).catch(fail);
      },
    });
}

function isOutdated({ metadata }: StatusObject): boolean {
  return metadata.get('holdfast-reason')[0] === 'TOKEN_EXPIRED';
}

/** With the next token it is another matter. */
function again(ended: StatusObject): StatusObject {
  const metadata = ended.metadata.clone();
  metadata.set('holdfast-retryable', 'true');
  return { ...ended, metadata };
}

/** As the server would say it, so that callers need no other way. */
function noToken(error: unknown): StatusObject {
  const metadata = new Metadata();
  metadata.set('holdfast-reason', 'CREDENTIALS_MISSING');
  metadata.set('holdfast-retryable', 'false');
  metadata.set('holdfast-outcome-unknown', 'false');
  const why = error instanceof Error ? error.message : String(error);
  return { code: status.UNAUTHENTICATED, details: `no token for this call: ${why}`, metadata };
}
