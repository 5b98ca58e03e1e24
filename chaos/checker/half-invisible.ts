/** P16: no read shows a half message before its commit was asked for. */
import { effectFromMs, isTransaction } from './facts.ts';
import type { Property } from './property.ts';

export const halfInvisible: Property = {
  id: 'P16',
  name: 'half-invisible',
  says: 'No read shows a half message before its commit was asked for.',
  *find(facts) {
    const told = new Set<string>();
    for (const { place, read } of facts.seen()) {
      const sender = facts.senders.get(place.value);
      if (sender === undefined || !isTransaction(sender) || told.has(place.value)) continue;
      const commits = sender.ends.filter(({ decision }) => decision === 'commit');
      const fromMs = effectFromMs(commits);
      if (fromMs !== undefined && read.completedMs >= fromMs) continue;
      told.add(place.value);
      const why = fromMs === undefined ? 'no commit was asked for' : 'before its commit';
      const where = `${place.log}, offset ${place.offset}, node ${read.node}`;
      yield {
        text: `${where}: half message ${place.value} was read, ${why}`,
        lines: [
          sender.prepares[0]!.line,
          ...commits.slice(0, 1).map(({ line }) => line),
          read.line,
        ],
      };
    }
  },
};
