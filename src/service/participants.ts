/**
 * What a shard's leader does for transactions that another shard, or this one, coordinates
 * (internals rule 9). All of it may be repeated freely: the state knows what it did before.
 */
import type { ProposalOutcome } from '../../raft/driver.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult, StoredAt } from '../broker/commands.ts';
import { answerAbout, type Resolve } from '../broker/outcomes.ts';
import type {
  GlobalTransactionId,
  ShownPart,
  TransactionCommand,
} from '../broker/transaction-commands.ts';
import { notLeader } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import type { Done } from './call.ts';
import { gatherCallbacks } from './callbacks.ts';
import { readHiddenBody } from './hidden-body.ts';
import { afterRound, decodeJson, encodeJson } from './internal-methods.ts';
import { decodeFrame } from './json-frame.ts';
import type { ShardMethod } from './methods.ts';
import { appliedError } from './produce.ts';
import { proposalError, refuseFullDisk } from './refusals.ts';
import { refuseOffsetHold, refusePart } from './state-admission.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

/** Where a part was stored, and on how many replicas. */
export interface PartStored {
  readonly at: StoredAt;
  readonly replicas: number;
}

/** Of whose outcome a participating shard wants to hear. */
export interface OutcomesQuestion {
  readonly shard: number;
  readonly transactions: readonly GlobalTransactionId[];
}

const NO_BYTES = new Uint8Array(0);

export interface ParticipantMethods {
  /** Frame of preparePart and its messages → PartStored. */
  readonly preparePart: ShardMethod;
  /** prepareOffsets → PartStored. */
  readonly prepareOffsets: ShardMethod;
  /** Resolve[] → for each ShownPart[], or null where it is not known to be applied. */
  readonly resolve: ShardMethod;
  /** OutcomesQuestion → for each Resolve, or null = not yet. */
  readonly outcomes: ShardMethod;
  /** StoredAt → the bytes of that entry; empty = they are not to be had. */
  readonly body: ShardMethod;
}

export function createParticipantMethods(host: ShardHost): ParticipantMethods {
  // `read`: the router may send it again whatever became of the last try.
  const method = (name: string, perform: ShardMethod['perform']): ShardMethod => {
    return { name: `.transaction/${name}`, kind: 'read', perform };
  };
  return {
    preparePart: method('prepare-part', (_call, { shard }, frame, _parsed, done) => {
      const { head, bytes } = decodeFrame<CommandOf<'preparePart'>>(frame);
      const refused = refusePart(host.data(shard)) ?? refuseFullDisk(host, shard);
      if (refused !== undefined) done(refused, undefined);
      else store(host, shard, head, bytes, done);
    }),
    prepareOffsets: method('prepare-offsets', (_call, { shard }, body, _parsed, done) => {
      const command = decodeJson<CommandOf<'prepareOffsets'>>(body);
      const refused = refuseOffsetHold(host.data(shard), command);
      if (refused !== undefined) done(refused, undefined);
      else store(host, shard, command, NO_BYTES, done);
    }),
    resolve: method('resolve', (_call, { shard }, body, _parsed, done) =>
      resolveAll(host, shard, decodeJson(body), done),
    ),
    // Only a leader that proved itself after the question may say that it knows nothing.
    outcomes: method('outcomes', (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () => {
        const { shard, transactions } = decodeJson<OutcomesQuestion>(body);
        const data = host.data(target.shard);
        const answers = transactions.map((id) => answerAbout(data, id, shard));
        done(undefined, encodeJson(answers));
      }),
    ),
    body: method('body', (_call, { shard }, body, _parsed, done) => {
      readHiddenBody(host, shard, decodeJson<StoredAt>(body), (found) => done(undefined, found));
    }),
  };
}

function store(
  host: ShardHost,
  shard: number,
  command: TransactionCommand,
  payload: Uint8Array,
  done: Done,
): void {
  propose(host, shard, command, payload, (outcome) => {
    if (outcome.status !== 'applied') {
      done(repeatable(outcome, shard), undefined);
      return;
    }
    const result = outcome.result as ApplyResult;
    if (result.type !== 'partPrepared') done(appliedError(result), undefined);
    else done(undefined, encodeJson({ at: result.at, replicas: outcome.replicas }));
  });
}

/** Whether it was done or not: the router tries the next leader. */
function repeatable(outcome: Exclude<ProposalOutcome, { status: 'applied' }>, shard: number) {
  if (outcome.status === 'unknown' || outcome.status === 'written') {
    return notLeader(shard, undefined);
  }
  return proposalError(outcome, shard);
}

function resolveAll(
  host: ShardHost,
  shard: number,
  resolves: readonly Resolve[],
  done: Done,
): void {
  gatherCallbacks<Resolve, readonly ShownPart[] | null>(
    resolves,
    (command, answer) =>
      propose(host, shard, command, NO_BYTES, (outcome) => {
        const result = outcome.status === 'applied' ? (outcome.result as ApplyResult) : undefined;
        answer(undefined, result?.type === 'resolved' ? result.shown : null);
      }),
    (_error, answers) => done(undefined, encodeJson(answers)),
  );
}

function propose(
  host: ShardHost,
  shard: number,
  command: TransactionCommand,
  payload: Uint8Array,
  done: (outcome: ProposalOutcome) => void,
): void {
  host.propose(shard, encodeCommand(command), payload, 'majorityFsync', done);
}
