/**
 * Messages with business keys: new ones, ones that were sent before, and mixtures of both, some for
 * later. What is known must not be stored again, whoever leads by then.
 */
import type { ShardId } from '../../../raft/types.ts';
import { Durability, type QueueId } from '../../broker/commands.ts';
import type { SentBatch } from './history.ts';
import type { Reply, Session } from './session.ts';

const KEYS_MAX = 3;
const KEPT = 12;
const AGAIN_SHARE = 0.4;
const MIXED_SHARE = 0.3;
const WINDOW_MIN_MS = 300;
const WINDOW_MAX_MS = 6000;

export class Keys {
  readonly #session: Session;
  /** Requests of late, of any queue. */
  readonly #sent: { readonly queueId: QueueId; readonly keys: readonly string[] }[] = [];

  constructor(session: Session) {
    this.#session = session;
  }

  send(shard: ShardId, queueId: QueueId): void {
    const { history, random } = this.#session;
    const keys = this.#keys(queueId);
    const isOne = random.chance(0.3);
    const used = isOne ? keys.slice(0, 1) : keys;
    const count = isOne ? random.between(1, KEYS_MAX) : used.length;
    const batch = history.name('b');
    const sent = history.sends({ kind: 'plain', client: 'keys', queueId, batch, count });
    const windowMs = random.between(WINDOW_MIN_MS, WINDOW_MAX_MS);
    const what = { queueId, count, durability: Durability.majorityFsync } as const;
    const dedup = { windowMs, keys: used };
    const command = { type: 'produce', ...what, producer: undefined, dedup } as const;
    this.#session.request(shard, { command, batch }, (reply) => this.#answered(sent, reply));
    this.#sent.push({ queueId, keys: used });
    if (this.#sent.length > KEPT) this.#sent.shift();
  }

  #keys(queueId: QueueId): readonly string[] {
    const { history, random } = this.#session;
    const fresh = Array.from({ length: random.between(1, KEYS_MAX) }, () => history.name('k'));
    const old = this.#sent.filter((one) => one.queueId === queueId);
    if (old.length === 0) return fresh;
    const { keys } = random.pick(old);
    if (random.chance(AGAIN_SHARE)) return keys;
    return random.chance(MIXED_SHARE) ? [...fresh, ...keys] : fresh;
  }

  #answered(sent: SentBatch, reply: Reply): void {
    const { history, cluster } = this.#session;
    const { coverage } = cluster.judge;
    if (reply.status === 'unknown') return;
    if (reply.status === 'applied' && reply.result.type === 'produced') {
      if (!reply.result.duplicate) history.acked(sent, reply.result.baseOffset);
      else {
        coverage.reach('dedup key recognised');
        history.failed(sent);
      }
      return;
    }
    if (reply.status === 'applied' && reply.result.type === 'refused') {
      const { reason } = reply.result.refusal;
      if (reason === 'DEDUP_KEYS_MIXED') coverage.reach('mixed dedup keys refused');
    }
    history.failed(sent);
  }
}
