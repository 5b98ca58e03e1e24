/** Reads every queue from its start to its end, through each node in turn. */
import { connect } from '../../src/client/index.ts';
import { QueueCheck, type QueueLedger, type Verdict } from './ledger.ts';

const FETCH_BYTES = 4 * 1024 * 1024;

export async function finalRead(
  server: string,
  topic: string,
  ledgers: readonly QueueLedger[],
  verdict: Verdict,
  each: (body: Buffer) => void,
): Promise<{ messages: number; bytes: number }> {
  const client = connect({ servers: server });
  const read = { messages: 0, bytes: 0 };
  try {
    for (const [queue, ledger] of ledgers.entries()) {
      const check = new QueueCheck(ledger, verdict);
      for (let offset = 0; ; ) {
        const answer = await client.fetch({ topic, queue, offset, maxBytes: FETCH_BYTES });
        for (const message of answer.messages) {
          check.read(message.offset, message.body);
          each(message.body);
          read.messages++;
          read.bytes += message.body.length;
        }
        // Acknowledged offsets beyond the end are counted as lost by the check.
        if (answer.nextOffset === offset) break;
        offset = answer.nextOffset;
      }
      check.finish();
    }
  } finally {
    await client.close();
  }
  return read;
}
