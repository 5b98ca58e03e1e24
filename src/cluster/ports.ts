import { createServer } from 'node:net';
import { type Address, formatAddress } from '../address.ts';
import { errorCode, Failure, oneLine } from '../failure.ts';

/** Fails with one line, ending in `advice`, when nobody could listen there now. */
export function assertCanListen(at: Address, advice: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      const taken = errorCode(error) === 'EADDRINUSE';
      const what = taken
        ? `port ${at.port} on ${at.host} is taken by another process`
        : `cannot listen on ${formatAddress(at)}: ${oneLine(error)}`;
      reject(new Failure(`${what}; ${advice}`, undefined, error));
    });
    server.listen({ ...at, exclusive: true }, () => {
      server.close(() => {
        resolve();
      });
    });
  });
}
