import { oneLeader } from '../../../chaos/checker/one-leader.ts';
import { leader } from '../histories.ts';
import { labelled } from './labelled.ts';

const second = { node: 2 };

labelled(oneLeader, {
  good: [
    ['one after the other', [leader(1, 4), leader(9, 5, second)]],
    ['told of late', [leader(9, 5, second), leader(10, 4)]],
    ['each shard by itself', [leader(1, 4), leader(2, 4, { ...second, shard: 2 })]],
    ['the same again', [leader(1, 4), leader(2, 4)]],
  ],
  bad: [
    ['two at once', [leader(1, 4), leader(2, 4, second)], [1, 2]],
    ['long after', [leader(1, 4), leader(2, 5, second), leader(99, 4, second)], [1, 3]],
  ],
});
