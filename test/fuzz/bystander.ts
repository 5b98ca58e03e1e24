/**
 * Someone who uses the cluster as it is meant to be used while it is being fuzzed: gives the
 * requests names that are alive, and finds its own messages again, whatever they did.
 */
import type { Holdfast, Topic, Transaction } from '../../src/client/index.ts';
import type { Alive } from './requests.ts';

const KEPT = 'fuzz-bystander';
const TOPICS = ['plain', 'strict', 'many'];
const GROUPS = ['group-a', 'group-b', 'producers'];
const MESSAGES = 20;

export class Bystander {
  readonly #holdfast: Holdfast;
  readonly #bodies: string[] = [];

  private constructor(holdfast: Holdfast) {
    this.#holdfast = holdfast;
  }

  static async enter(holdfast: Holdfast): Promise<Bystander> {
    await holdfast.admin.createTopic({ name: KEPT, queueCount: 1 });
    const bystander = new Bystander(holdfast);
    await bystander.#produce();
    return bystander;
  }

  /** What was deleted is made anew. */
  async alive(): Promise<Alive> {
    const topics = await this.#topics();
    const half = await this.#half();
    const { members } = await this.#holdfast.admin.describeMembers();
    const messages = half === undefined ? ['1-1-0'] : half.parts.map((part) => part.firstMessageId);
    return {
      topic: TOPICS,
      name: TOPICS,
      topic_id: topics.map(({ topicId }) => topicId),
      group: GROUPS,
      producer_group: GROUPS,
      transaction_id: [half?.transactionId ?? '', 'own-id'],
      message_id: messages,
      member_id: ['member-1', 'member-2'],
      producer_id: ['producer-1', 'producer-2'],
      incarnation: members.map(({ incarnation }) => incarnation),
      peer_address: members.map(({ peerAddress }) => peerAddress),
      grpc_address: members.map(({ grpcAddress }) => grpcAddress),
      key: ['key', 'a=1'],
    };
  }

  async #topics(): Promise<readonly Topic[]> {
    const { admin } = this.#holdfast;
    const known = await admin.listTopics();
    return Promise.all(
      TOPICS.map(
        (name) =>
          known.find((topic) => topic.name === name) ?? admin.createTopic({ name, queueCount: 3 }),
      ),
    );
  }

  /** None where the requests made the topic refuse it. */
  #half(): Promise<Transaction | undefined> {
    const messages = [{ key: 'key', body: Buffer.from('half') }];
    const transactions = this.#holdfast.transactions('producers');
    return transactions.prepare({ topic: 'plain', messages }).catch(() => undefined);
  }

  /** Writes, then reads all that it ever wrote. */
  async check(): Promise<void> {
    await this.#produce();
    const query = { topic: KEPT, queue: 0, linearizable: true };
    const found: string[] = [];
    let offset = 0;
    while (found.length < this.#bodies.length) {
      const { messages, nextOffset } = await this.#holdfast.fetch({ ...query, offset });
      if (nextOffset === offset) break;
      found.push(...messages.map(({ body }) => Buffer.from(body).toString()));
      offset = nextOffset;
    }
    if (found.join() !== this.#bodies.join()) {
      throw new Error(`of ${this.#bodies.length} acknowledged messages ${found.length} are there`);
    }
  }

  async #produce(): Promise<void> {
    const producer = this.#holdfast.producer({ topic: KEPT });
    for (let at = 0; at < MESSAGES; at += 1) {
      const body = `kept ${this.#bodies.length}`;
      await producer.send({ queue: 0, body: Buffer.from(body) });
      this.#bodies.push(body);
    }
    await producer.close();
  }
}
