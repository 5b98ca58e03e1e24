/** One ProduceStream while it lasts: requests go out without waiting, answers come by their ids. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { nowMs } from '../history.ts';
import type { ProduceAck, ProduceRequest, Streams } from './methods.ts';
import { type Answer, classifyElement, type NodeStub } from './node-stub.ts';

/** A stream has no deadline of its own; without this a frozen node would keep us for ever. */
const ROUND_TIMEOUT_MS = 5000;

type Call = Streams['Log.ProduceStream'];

interface Open {
  readonly invokedMs: number;
  readonly resolve: (answer: Answer<ProduceAck>) => void;
}

export class ProduceSession {
  readonly #stream: ClientDuplexStream<Call['request'], Call['response']>;
  readonly #open = new Map<number, Open>();
  #requests = 0;
  #ended = false;

  constructor(stub: NodeStub) {
    this.#stream = stub.stream('Log.ProduceStream');
    this.#stream.on('data', (element: Call['response']) => this.#answered(element));
    this.#stream.on('error', () => undefined);
    // Comes last, however the stream ended.
    this.#stream.on('status', ({ details }) => this.#lost(`the stream ended: ${details}`));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** One answer for each, in their order; when the stream breaks, what was due is unknown. */
  async send(requests: readonly ProduceRequest[]): Promise<readonly Answer<ProduceAck>[]> {
    const timer = setTimeout(() => this.#stream.cancel(), ROUND_TIMEOUT_MS);
    const answers = await Promise.all(requests.map((request) => this.#send(request)));
    clearTimeout(timer);
    return answers;
  }

  close(): void {
    this.#ended = true;
    this.#stream.end();
  }

  #send(request: ProduceRequest): Promise<Answer<ProduceAck>> {
    const id = ++this.#requests;
    return new Promise((resolve) => {
      this.#open.set(id, { invokedMs: nowMs(), resolve });
      if (this.#ended) this.#lost('the stream has ended');
      else this.#stream.write({ request_id: id, resume: false, request });
    });
  }

  #answered({ request_id: id, ack, error }: Call['response']): void {
    const open = this.#open.get(id);
    if (open === undefined) {
      if (this.#ended) return;
      throw new Error(`an answer to request ${id}, which is not open`);
    }
    this.#open.delete(id);
    const times = { invokedMs: open.invokedMs, completedMs: nowMs() };
    if (ack) open.resolve({ ...times, outcome: 'ok', value: ack });
    else if (error) open.resolve({ ...times, ...classifyElement(error) });
  }

  #lost(text: string): void {
    this.#ended = true;
    const completedMs = nowMs();
    const nobody = { reason: '', retryable: true, retryAfterMs: 0, transactionState: '' };
    const what = { outcome: 'unknown', ...nobody, text } as const;
    for (const { invokedMs, resolve } of this.#open.values()) {
      resolve({ invokedMs, completedMs, ...what });
    }
    this.#open.clear();
  }
}
