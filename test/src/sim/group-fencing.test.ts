/** Who may commit for a group, in histories written by hand. */
import { expect, it } from 'vitest';
import type { ApplyResult, Command } from '../../../src/broker/commands.ts';
import { GroupFencing } from '../../../src/sim/invariants/group-fencing.ts';

const WHERE = { group: 'g', topicId: '7' };
const OFFSETS = [{ queue: 0, offset: 5 }];
const TRANSACTION = { shard: 1, term: 1, index: 1 };

function joined(): GroupFencing {
  const fencing = new GroupFencing();
  const who = { group: 'g', memberId: 'm', instanceId: 'i', clientName: '', isNamedHere: false };
  const rest = { sessionMs: 1, mode: 'cluster', topics: [] } as const;
  fencing.applied(3, { type: 'joinGroup', ...who, ...rest }, { type: 'joined', generation: 3 });
  return fencing;
}

function commit(generation: number, memberId = 'm'): [Command, ApplyResult] {
  const member = { memberId, generation };
  return [
    { type: 'commitOffsets', ...WHERE, offsets: OFFSETS, member },
    { type: 'offsets', epoch: 1 },
  ];
}

/** Stored at `index`. */
function prepare(generation: number, memberId: string, index: number): [Command, ApplyResult] {
  const topics = [{ topicId: '7', offsets: OFFSETS.map((one) => ({ ...one, from: undefined })) }];
  const what = { transaction: TRANSACTION, group: 'g', topics, generation, memberId };
  const at = { term: 1, index };
  return [
    { type: 'prepareOffsets', ...what },
    { type: 'partPrepared', at },
  ];
}

it('a member of the present generation commits, alone or with a transaction', () => {
  const fencing = joined();
  fencing.applied(4, ...commit(3));
  fencing.applied(5, ...prepare(3, 'm', 5));
  // Repeated: it was checked when it was stored.
  fencing.applied(9, ...prepare(1, 'm', 5));
});

it.each([
  ['an older generation', 'group-generation', 4, commit(2)],
  ['nobody that is known', 'group-member', 4, commit(3, 'x')],
  ['an older generation, with a transaction', 'group-generation', 4, prepare(2, 'm', 4)],
  ['nobody in particular, with a transaction', 'group-closed', 4, prepare(0, '', 4)],
])('%s', (_, name, index, [command, result]) => {
  expect(() => joined().applied(index, command, result)).toThrow(name);
});
