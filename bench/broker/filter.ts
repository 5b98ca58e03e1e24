/** A backlog read with filters that keep one message of a hundred, beside a plain read of it. */
import { bytesField, fieldsOf, numberField, textField } from '../ceiling/wire.ts';
import { median } from '../percentiles.ts';
import { fetchRequest, RawClient } from '../raw-calls.ts';
import { closedLoop } from '../workload.ts';
import { type Part, type Row, rounded } from './row.ts';

const MIB = 1024 * 1024;
const BODY_BYTES = 1024;
/** The backlog: requests of as many messages as there are values. */
const FILL_REQUESTS = 640;
const VALUES = 100;
const KEPT = 1 / VALUES;
const RATIO_MIN = 0.5;
const [TAG, SQL] = [1, 2];

const READS = {
  plain: Buffer.alloc(0),
  tag: filterField(TAG, 'tag-7 || none'),
  sql: filterField(SQL, "n BETWEEN 6.5 AND 7 AND kind IN ('order', 'offer')"),
};
type Read = keyof typeof READS;
type Speeds = Readonly<Record<Read, number>>;

export const filter: Part = async ({ client, servers, seconds, rounds }) => {
  const topic = 'bench-filter';
  await client.admin.createTopic({ name: topic, queueCount: 1 });
  const { queues } = await client.admin.describeTopic(topic);
  const raw = new RawClient(servers[(queues[0]?.leader ?? 1) - 1]!);
  const round = async (): Promise<Speeds> => ({
    plain: await messagesPerS(raw, topic, 'plain', seconds),
    tag: await messagesPerS(raw, topic, 'tag', seconds),
    sql: await messagesPerS(raw, topic, 'sql', seconds),
  });
  try {
    const fill = fillRequest(topic);
    for (let i = 0; i < FILL_REQUESTS; i++) await raw.call('Produce', fill);
    await round();
    const all: Speeds[] = [];
    for (let i = 0; i < rounds; i++) all.push(await round());
    return rowOf(all);
  } finally {
    raw.close();
  }
};

/** How fast the server goes through the queue, from its start again and again. */
async function messagesPerS(
  raw: RawClient,
  topic: string,
  read: Read,
  seconds: number,
): Promise<number> {
  let offset = 0;
  let kept = 0;
  const run = await closedLoop(1, seconds, async () => {
    const request = Buffer.concat([fetchRequest(topic, offset, MIB, 0), READS[read]]);
    const answer = await raw.call('Fetch', request);
    const { next, count } = readAnswer(answer);
    const messages = next - offset;
    kept += count;
    offset = messages === 0 ? 0 : next;
    return { messages, bytes: answer.length };
  });
  const share = kept / run.messages;
  const wanted = read === 'plain' ? 1 : KEPT;
  if (share < wanted / 2 || share > wanted * 2) throw new Error(`${read} kept ${share} of all`);
  return run.messages / run.seconds;
}

function readAnswer(answer: Buffer): { readonly next: number; readonly count: number } {
  let [next, count] = [0, 0];
  for (const { number, value, bytes } of fieldsOf(answer)) {
    if (number === 1) next = value;
    if (number !== 4) continue;
    for (const field of fieldsOf(bytes)) if (field.number === 2) count += field.value;
  }
  return { next, count };
}

function rowOf(all: readonly Speeds[]): Row {
  const speed = (read: Read): number => rounded(median(all.map((one) => one[read])));
  const ratioOf = (read: Read): number => median(all.map((one) => one[read] / one.plain));
  const ratio = Math.min(ratioOf('tag'), ratioOf('sql'));
  return {
    workload: `filters that keep ${100 * KEPT} %, ${BODY_BYTES} B, ${MIB} bytes looked at a call`,
    durability: 'MAJORITY_FSYNC',
    figures: {
      plain_messages_per_s: speed('plain'),
      by_tag_messages_per_s: speed('tag'),
      by_sql_messages_per_s: speed('sql'),
      tag_ratio: rounded(ratioOf('tag')),
      sql_ratio: rounded(ratioOf('sql')),
    },
    goal: `looks at messages at least ${RATIO_MIN} as fast as a plain fetch reads them`,
    met: ratio >= RATIO_MIN,
  };
}

function fillRequest(topic: string): Buffer {
  const head = [textField(1, topic), Buffer.from(numberField(2, 0))];
  const messages = Array.from({ length: VALUES }, (_, at) => {
    const properties = [property('kind', 'order'), property('n', String(at))];
    const body = bytesField(4, Buffer.alloc(BODY_BYTES, 'x'));
    return bytesField(1000, Buffer.concat([textField(2, `tag-${at}`), ...properties, body]));
  });
  return Buffer.concat([...head, ...messages]);
}

function property(name: string, value: string): Buffer {
  return bytesField(3, Buffer.concat([textField(1, name), textField(2, value)]));
}

function filterField(type: number, expression: string): Buffer {
  return bytesField(
    9,
    Buffer.concat([Buffer.from(numberField(1, type)), textField(2, expression)]),
  );
}
