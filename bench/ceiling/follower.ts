/** A follower of the ceiling: appends what comes, answers how far it is written and durable. */
import { createServer, type Socket } from 'node:net';
import { AppendFile } from './append-file.ts';
import { FrameReader } from './frame-reader.ts';

function serve(socket: Socket, log: AppendFile): void {
  socket.setNoDelay(true);
  let received = 0;
  const tell = (kind: number, count: number): void => {
    const answer = Buffer.allocUnsafe(5);
    answer.writeUInt8(kind, 0);
    answer.writeUInt32LE(count, 1);
    socket.write(answer);
  };
  const reader = new FrameReader((bytes) => {
    const count = ++received;
    log.append(
      bytes,
      () => tell(0, count),
      () => tell(1, count),
    );
  });
  socket.on('data', (chunk: Buffer) => reader.push(chunk));
}

/** Runs in a process of its own; tells its parent the port. */
export function runFollower(path: string): void {
  const log = new AppendFile(path);
  const server = createServer((socket) => serve(socket, log));
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    process.send?.({ port: address.port });
  });
}
