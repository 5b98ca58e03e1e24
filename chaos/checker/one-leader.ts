/** P21, as far as it is seen from outside: a term has one leader. */
import type { Line } from './facts.ts';
import type { Property } from './property.ts';

export const oneLeader: Property = {
  id: 'P21',
  name: 'one-leader',
  says: 'No two nodes say that they lead one shard in the same term.',
  *find(facts) {
    const leaders = new Map<string, Line<'leader'>>();
    for (const seen of facts.of('leader')) {
      facts.bound.step();
      const { shard, term, node } = seen;
      const key = `${shard} ${term}`;
      const first = leaders.get(key);
      if (first === undefined) leaders.set(key, seen);
      if (first === undefined || first.node === node) continue;
      const text = `shard ${shard}, term ${term}: led by node ${first.node} and by node ${node}`;
      yield { text, lines: [first.line, seen.line] };
    }
  },
};
