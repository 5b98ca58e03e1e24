/** Decides about messages, many at a time: what comes during one call goes with the next. */
import { backoffMs, pause } from './backoff.ts';
import type {
  Deliveries,
  Delivery,
  SettleResult,
  SettleStatus,
  SubscriptionName,
} from './deliveries.ts';
import { clientError } from './errors.ts';
import type { HeldLease } from './leases.ts';

interface Waiting {
  readonly held: HeldLease;
  readonly done: () => void;
}

/** How often an outcome that stayed open is asked for again; then the message comes again. */
const TRIES = 20;

/** Also what an earlier call did whose answer was lost: only this receiver has the token. */
const ACKED: readonly SettleStatus[] = ['SETTLED', 'DECIDED'];
const GIVEN_BACK: readonly SettleStatus[] = ['SETTLED', 'DECIDED', 'NOT_LEASED', 'DEAD'];

/** Acks and nacks leave by themselves, each kind one call at a time. */
export class Settler {
  readonly #acks: Lane;
  readonly #nacks: Lane;

  constructor(
    deliveries: Deliveries,
    name: SubscriptionName,
    failed: (error: unknown, delivery: Delivery | undefined) => void,
  ) {
    const tokenOf = ({ delivery }: HeldLease) => delivery.token;
    this.#acks = new Lane((many) => deliveries.ack(name, many.map(tokenOf)), failed);
    const nackOf = (held: HeldLease) => ({ token: tokenOf(held), delayMs: held.nack?.delayMs });
    this.#nacks = new Lane((many) => deliveries.nack(name, many.map(nackOf)), failed);
  }

  /** Resolves when it is decided, or cannot be; that is told. */
  settle(held: HeldLease): Promise<void> {
    const lane = held.nack === undefined ? this.#acks : this.#nacks;
    return lane.add(held);
  }
}

class Lane {
  readonly #call: (many: readonly HeldLease[]) => Promise<readonly SettleResult[]>;
  readonly #failed: (error: unknown, delivery: Delivery | undefined) => void;
  #waiting: Waiting[] = [];
  #isBusy = false;

  constructor(
    call: (many: readonly HeldLease[]) => Promise<readonly SettleResult[]>,
    failed: (error: unknown, delivery: Delivery | undefined) => void,
  ) {
    this.#call = call;
    this.#failed = failed;
  }

  add(held: HeldLease): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ held, done });
      if (!this.#isBusy) void this.#empty();
    });
  }

  /** No more wait than a receiver has handlers (256), which one call takes. */
  async #empty(): Promise<void> {
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#settle(batch);
      for (const { done } of batch) done();
    }
    this.#isBusy = false;
  }

  async #settle(batch: readonly Waiting[]): Promise<void> {
    let open = batch.map(({ held }) => held);
    for (let tries = 1; open.length > 0; tries += 1) {
      try {
        open = this.#stillOpen(open, await this.#call(open), tries);
      } catch (error) {
        for (const { delivery } of open) this.#failed(error, delivery);
        return;
      }
      if (open.length > 0) await pause(backoffMs(tries, 0), undefined);
    }
  }

  #stillOpen(asked: HeldLease[], results: readonly SettleResult[], tries: number): HeldLease[] {
    return asked.filter(({ delivery, nack }, at) => {
      const { status, reason } = results[at]!;
      if (status === 'OUTCOME_OPEN' && tries < TRIES) return true;
      const isFine = (nack === undefined ? ACKED : GIVEN_BACK).includes(status);
      if (!isFine) this.#failed(lost(delivery, status, reason), delivery);
      return false;
    });
  }
}

function lost(delivery: Delivery, status: string, reason: string): Error {
  const { messageId } = delivery;
  if (status === 'OUTCOME_OPEN') {
    const message = `nobody knows whether message ${messageId} is decided (${reason})`;
    return clientError('UNAVAILABLE', 'CLIENT_OUTCOME_OPEN', message, { outcomeUnknown: true });
  }
  const message = `message ${messageId} is no longer held: its token was answered ${status}`;
  return clientError('ABORTED', 'CLIENT_LEASE_LOST', message);
}
