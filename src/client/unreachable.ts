import type { ServiceError } from '@grpc/grpc-js';
import { clientError, type HoldfastError } from './errors.ts';
import type { Servers } from './servers.ts';

const START =
  'start a cluster with `holdfast up`, or name its servers (--server or HOLDFAST_SERVER)';

/** What grpc-js says of a failed connection → what to do; the first group is what is wrong. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/(connect [A-Z]+ [^\s.]+(?:\.[^\s.]+)*|Name resolution failed)/, START],
  [/(wrong version number)/, 'it speaks no TLS: call it without --ca (`tls` of connect)'],
  [
    /alert ((?:certificate|bad|unknown|unsupported)[a-z ]*)/,
    'it asks for a certificate that it trusts: --cert and --cert-key (`tls` of connect)',
  ],
  [
    /Error(?: \[\w+\])?: (.*certificate.*?)[\s.:]*Resolution note/,
    'give the CA of this cluster as --ca (`tls` of connect), and a name that the certificate has',
  ],
];
/** Ended by the other side before a word was said. */
const ENDED = /Failed to connect|ECONNRESET|socket disconnected|Protocol error/;
const ENDED_PLAIN = 'it ended the connection: if it takes TLS, give --ca (`tls` of connect)';
const ENDED_TLS =
  'it ended the connection: if it asks for a certificate, give one that it trusts as --cert and ' +
  '--cert-key (`tls` of connect)';

/** Every server refused the connection. */
export function unreachable(
  servers: Pick<Servers, 'addresses' | 'isEncrypted'>,
  { details }: ServiceError,
  outcomeUnknown: boolean,
): HoldfastError {
  const [detail, advice] = explained(details, servers.isEncrypted);
  const why = detail === undefined ? '' : ` (${detail})`;
  const message = `cannot reach ${servers.addresses()}${why}: ${advice}`;
  const facts = { retryable: true, outcomeUnknown };
  return clientError('UNAVAILABLE', 'CLIENT_UNREACHABLE', message, facts);
}

function explained(details: string, isEncrypted: boolean): readonly [string | undefined, string] {
  for (const [pattern, advice] of ADVICE) {
    const match = pattern.exec(details);
    if (match !== null) return [match[1], advice];
  }
  const ended = isEncrypted ? ENDED_TLS : ENDED_PLAIN;
  return [undefined, ENDED.test(details) ? ended : START];
}
