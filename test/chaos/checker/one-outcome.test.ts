import { oneOutcome } from '../../../chaos/checker/one-outcome.ts';
import { check, end, open, prepare } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);
const at = (baseOffset: number) => ({ baseOffset, state: 'COMMITTED' }) as const;
const several = prepare('s', ['s.0'], { others: [{ queue: 1, values: ['s.1'] }] });
const severalAt = (baseOffset: number) =>
  end('s', 'commit', { ...at(0), others: [{ queue: 1, baseOffset }] });
const refused = { outcome: 'fail', reason: 'TRANSACTION_ENDED' } as const;

labelled(oneOutcome, {
  good: [
    ['committed twice', [half, end('t', 'commit', at(0)), end('t', 'commit', at(0))]],
    [
      'the opposite is refused',
      [half, end('t', 'commit', at(0)), end('t', 'rollback', { ...refused, state: 'COMMITTED' })],
    ],
    [
      'somebody else was asked, and decided first',
      [
        half,
        check('t', 20),
        end('t', 'rollback', { outcome: 'unknown' }),
        end('t', 'commit', { ...refused, state: 'ROLLED_BACK' }),
      ],
    ],
    ['asked about, then ended', [half, check('t', 20), end('t', 'rollback')]],
    ['asked while it ends', [half, check('t', 50), end('t', 'rollback')]],
    [
      'late ends change nothing',
      [
        half,
        end('t', 'rollback'),
        end('t', 'commit', { ...refused, state: 'ROLLED_BACK' }),
        end('t', 'rollback', { state: 'ROLLED_BACK' }),
      ],
    ],
    ['two unknown ends', [half, end('t', 'commit', { outcome: 'unknown' }), end('t', 'rollback')]],
    ['several queues, each with its place', [several, severalAt(3), severalAt(3)]],
    ['listed while it is open', [half, open(['t'])]],
  ],
  bad: [
    ['two places in the second queue', [several, severalAt(3), severalAt(4)], [2, 3]],
    ['listed after its end', [half, end('t', 'rollback'), open(['t'])], [2, 3]],
    ['both', [half, end('t', 'commit', at(0)), end('t', 'rollback')], [2, 3]],
    [
      'the opposite of what was asked',
      [half, end('t', 'commit', { state: 'ROLLED_BACK' })],
      [2],
      [2, 2],
    ],
    ['a late end turns it over', [half, end('t', 'rollback'), end('t', 'commit', at(7))], [2, 3]],
    [
      'a late end says where it is not',
      [half, end('t', 'commit', at(0)), end('t', 'commit', at(3))],
      [2, 3],
    ],
    [
      'a late end ended another one',
      [
        prepare('u', ['u.0']),
        half,
        end('t', 'commit', at(0)),
        end('t', 'commit', at(0)),
        end('u', 'rollback', { ...refused, state: 'COMMITTED' }),
      ],
      [5],
    ],
    ['two places', [half, end('t', 'commit', at(0)), end('t', 'commit', at(4))], [2, 3]],
    [
      'refused with another outcome',
      [half, end('t', 'commit', at(0)), end('t', 'commit', { ...refused, state: 'ROLLED_BACK' })],
      [3],
      [2, 3],
    ],
    [
      'an outcome that nobody asked for',
      [half, end('t', 'commit', { ...refused, state: 'ROLLED_BACK' })],
      [2],
    ],
    ['asked about after its end', [half, end('t', 'rollback'), check('t', 90)], [2, 3]],
  ],
});
