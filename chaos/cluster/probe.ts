/** Asks a link itself: bytes that are no greeting make whoever reads them hang up. */
import { connect } from 'node:net';
import { nowMs } from '../history.ts';

/** Neither a greeting of a peer nor the preface of HTTP/2. */
const NONSENSE = Buffer.alloc(64);

export interface Probe {
  /** `closed`: it was read at the other end. `silent`: nothing came back in time. */
  readonly end: 'closed' | 'refused' | 'reset' | 'silent';
  readonly ms: number;
}

export function probe(address: string, timeoutMs: number): Promise<Probe> {
  const { hostname: host, port } = new URL(`tcp://${address}`);
  const beganMs = nowMs();
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) }, () => socket.write(NONSENSE));
    const finish = (end: Probe['end']) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ end, ms: nowMs() - beganMs });
    };
    const timer = setTimeout(finish, timeoutMs, 'silent');
    socket.once('end', () => finish('closed'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      finish(code === 'ECONNREFUSED' ? 'refused' : 'reset');
    });
    socket.resume();
  });
}
