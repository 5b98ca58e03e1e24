/**
 * A thread that reads a topic from its start when it is told to. It stands ready before anything is
 * measured: its start takes a processor for a third of a second, which is nobody's backlog.
 */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { connect } from '../../src/client/index.ts';

export interface BacklogReader {
  readonly servers: readonly string[];
  readonly topic: string;
  readonly bytes: number;
}

const { servers, topic, bytes } = workerData as BacklogReader;
const client = connect({ servers });
await client.admin.describeTopic(topic);
parentPort!.postMessage('ready');
await once(parentPort!, 'message');
const consumer = client.consumer({ topic, from: 'earliest', credits: 20_000 });
const startMs = performance.now();
let read = 0;
for await (const { body } of consumer) {
  read += body.length;
  if (read >= bytes) break;
}
const seconds = (performance.now() - startMs) / 1000;
await consumer.close();
await client.close();
parentPort!.postMessage(read / seconds);
