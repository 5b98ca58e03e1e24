/**
 * Brings one begun transaction to `prepared`, or to its rollback: stores every part and the
 * offsets, side by side. It goes on when its caller has gone, so that nothing is held for longer
 * than needed.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, StoredAt } from '../broker/commands.ts';
import { allStored, type OffsetsPlan, oneRefused, storeSteps } from '../broker/preparation.ts';
import type {
  GlobalTransactionId,
  StoredPart,
  TransactionCommand,
} from '../broker/transaction-commands.ts';
import { transactionIdText } from '../convert.ts';
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import { type Calls, OWN_CALL } from './call.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import { encodeFrame } from './json-frame.ts';
import { type ShardMethod, shardTarget } from './methods.ts';
import type { ParticipantMethods, PartStored } from './participants.ts';
import { appliedError } from './produce.ts';
import { proposalError } from './refusals.ts';

/** Well below the time after which the coordinator gives a preparation up. */
const STORE_TIMEOUT_MS = 25_000;
const NO_BYTES = new Uint8Array(0);

type Prepared = Extract<ApplyResult, { type: 'prepared' }>;
type OnDriven = (
  error: CallError | undefined,
  result: Prepared | undefined,
  replicas: number,
) => void;

export interface Drive {
  readonly host: ShardHost;
  readonly router: Router;
  readonly calls: Calls;
  readonly methods: ParticipantMethods;
}

export interface StoredTransaction {
  readonly transaction: GlobalTransactionId;
  readonly parts: readonly StoredPart[];
  readonly payloads: readonly Uint8Array[];
  readonly offsets: OffsetsPlan | undefined;
}

export class PrepareDrive {
  readonly #drive: Drive;
  readonly #what: StoredTransaction;
  readonly #done: OnDriven;
  readonly #places: StoredAt[] = [];
  #replicas = Number.MAX_SAFE_INTEGER;
  #open = 1;
  #error: CallError | undefined;

  constructor(drive: Drive, what: StoredTransaction, done: OnDriven) {
    this.#drive = drive;
    this.#what = what;
    this.#done = done;
  }

  start(): void {
    const { offsets, parts, payloads, transaction } = this.#what;
    const { prepareOffsets, preparePart } = this.#drive.methods;
    for (const [place, { shard, command }] of storeSteps(transaction, parts, offsets).entries()) {
      if (command.type === 'preparePart') {
        this.#store(preparePart, shard, encodeFrame(command, payloads[place]!), place);
      } else this.#store(prepareOffsets, shard, encodeJson(command), place);
    }
    this.#settle();
  }

  #store(method: ShardMethod, shard: number, body: Uint8Array, place: number): void {
    const { calls, router } = this.#drive;
    this.#open += 1;
    const call = calls.open(STORE_TIMEOUT_MS, OWN_CALL, (error, answer) => {
      if (error !== undefined) this.#error ??= error;
      else {
        const { at, replicas } = decodeJson<PartStored>(answer!);
        this.#places[place] = at;
        this.#replicas = Math.min(this.#replicas, replicas);
      }
      this.#settle();
    });
    router.route(call, { method, target: shardTarget(shard), body }, call.finish);
  }

  #settle(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    if (this.#error === undefined) this.#prepared();
    else this.#abort(this.#error);
  }

  #prepared(): void {
    this.#propose(allStored(this.#what.transaction, this.#places), (result) => {
      if (result.type === 'prepared') this.#done(undefined, result, this.#replicas);
      else this.#done(appliedError(result), undefined, 0);
    });
  }

  #abort(error: CallError): void {
    const { shard, ...id } = this.#what.transaction;
    this.#propose(oneRefused(this.#what.transaction), () => {
      const found = this.#drive.host.data(shard).coordinated(id);
      if (found === undefined || found.state === 'rolledBack') {
        this.#done(notPrepared(this.#what.transaction, error), undefined, 0);
        return;
      }
      const { state, parts, dueAtMs: firstCheckAtMs } = found;
      const result = { type: 'prepared', id, state, parts, firstCheckAtMs } as const;
      this.#done(undefined, { ...result, duplicate: true }, 0);
    });
  }

  #propose(command: TransactionCommand, applied: (result: ApplyResult) => void): void {
    const { shard } = this.#what.transaction;
    this.#drive.host.propose(
      shard,
      encodeCommand(command),
      NO_BYTES,
      'majorityFsync',
      (outcome) => {
        if (outcome.status === 'applied') applied(outcome.result as ApplyResult);
        else if (outcome.status === 'unknown' || outcome.status === 'written') {
          this.#done(unknownOutcome(this.#what.transaction), undefined, 0);
        } else {
          const cause = proposalError(outcome, shard);
          this.#done(unknownOutcome(this.#what.transaction, cause), undefined, 0);
        }
      },
    );
  }
}

function notPrepared(transaction: GlobalTransactionId, cause: CallError): CallError {
  return new CallError(
    'TRANSACTION_NOT_PREPARED',
    `transaction ${transactionIdText(transaction)} is rolled back, because one of its parts was ` +
      `refused: ${cause.reason}: ${cause.message}. Prepare again under a new transaction_id`,
    { metadata: { ...cause.metadata, cause: cause.reason } },
  );
}

/** Begun it is: whether it will be prepared depends on who repeats it. */
function unknownOutcome(transaction: GlobalTransactionId, cause?: CallError): CallError {
  return new CallError(
    'OUTCOME_UNKNOWN',
    `the leader of shard ${transaction.shard} changed while the transaction was prepared: repeat ` +
      'it under its transaction_id, or it is rolled back within a minute' +
      (cause === undefined ? '' : ` (${cause.reason})`),
  );
}
