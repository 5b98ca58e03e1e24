/** What drivers say to each other about a shard beside the core's messages. */
import type { DriverContext } from './driver-context.ts';
import { Repairs } from './driver-repairs.ts';
import type { ShardRunner } from './driver-shard.ts';
import { SnapshotReceiver } from './driver-snapshot-receiver.ts';
import { SnapshotSender } from './driver-snapshot-sender.ts';
import type { CoreMessage, Invite, ShardMessage } from './messages.ts';
import type { LogIndex, MonotonicMs } from './types.ts';

export type ExchangeMessage = Exclude<ShardMessage, CoreMessage | Invite>;

const EXCHANGED: ReadonlySet<string> = new Set([
  'snapshotChunk',
  'snapshotReply',
  'snapshotRequest',
  'repairRequest',
  'repairReply',
] satisfies ExchangeMessage['type'][]);

export function isExchanged(message: CoreMessage | ExchangeMessage): message is ExchangeMessage {
  return EXCHANGED.has(message.type);
}

export class Exchange {
  readonly #sender: SnapshotSender | undefined;
  readonly #receiver: SnapshotReceiver | undefined;
  readonly #repairs: Repairs;
  readonly #context: DriverContext;

  constructor(context: DriverContext) {
    this.#context = context;
    this.#repairs = new Repairs(context);
    const { snapshots } = context.options;
    if (snapshots === undefined) return;
    this.#sender = new SnapshotSender(context, snapshots);
    this.#receiver = new SnapshotReceiver(context, snapshots);
  }

  received(runner: ShardRunner, message: ExchangeMessage): void {
    if (message.to !== runner.core.self) return;
    runner.core.observeTerm(message.term, this.#context.now());
    if (message.type === 'snapshotChunk') {
      if (runner.core.role === 'leader') this.#sender?.offered(runner, message);
      this.#receiver?.received(runner, message);
    } else if (message.type === 'snapshotReply') this.#sender?.received(runner, message);
    else if (message.type === 'snapshotRequest') this.#sender?.requested(runner, message);
    else if (message.type === 'repairRequest') this.#repairs.requested(runner, message);
    else this.#repairs.replied(runner, message);
  }

  /** At every pass over a shard, and when it left. */
  look(runner: ShardRunner): void {
    this.#sender?.look(runner);
    this.#repairs.look(runner);
  }

  /** When to look again at the latest. */
  deadlineOf(runner: ShardRunner): MonotonicMs {
    return this.#repairs.deadlineOf(runner);
  }

  /** This node's log of the shard is durable a little further. */
  durable(runner: ShardRunner): void {
    this.#receiver?.durable(runner);
  }

  noticed(runner: ShardRunner, error: Error, at: LogIndex): boolean {
    return this.#repairs.noticed(runner, error, at);
  }

  stop(): void {
    this.#sender?.stop();
  }
}
