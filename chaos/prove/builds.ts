/**
 * Holdfast, broken on purpose in one place: what the tool is for has to find it. Each is found by
 * what clients saw; no assertion of the nodes stands in its way, nor does any help.
 */

/** White space in `from` matches any: it stands in the sources as in what is made of them. */
export interface Edit {
  /** Without its ending. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface BrokenBuild {
  readonly name: string;
  readonly does: string;
  readonly edits: readonly Edit[];
  /** Which attack brings it to light, and how long that goes on. */
  readonly scenario: string;
  readonly seconds: number;
  /** Of which the checker has to find at least one broken. */
  readonly properties: readonly string[];
}

export const BROKEN_BUILDS: readonly BrokenBuild[] = [
  {
    name: 'ack-before-fsync',
    does: 'the log calls durable what is written and not yet synced',
    edits: [
      {
        file: 'storage/log-writer',
        from: 'wantsWritten ||= pending.callbacks.onWritten !== undefined;',
        to: 'wantsWritten = true;',
      },
      {
        file: 'storage/log-writer',
        from: 'this.written(); if (singleStep)',
        to: `this.written();
          for (const { callbacks } of this.completing.splice(0)) callbacks.onDurable();
          if (singleStep)`,
      },
    ],
    scenario: 'power-cut-all',
    seconds: 40,
    properties: ['lost-write', 'unseen'],
  },
  {
    name: 'vote-before-fsync',
    does: 'a vote is given before it is on the disk, so that it may be given again',
    edits: [
      {
        file: 'raft/ready',
        from: 'const last = this.#afterDurable.at(-1);',
        to: `if (message.type === 'voteReply') {
            this.#messages.push(message);
            return;
          }
          const last = this.#afterDurable.at(-1);`,
      },
    ],
    scenario: 'election-cut',
    seconds: 60,
    properties: ['one-leader'],
  },
  {
    name: 'ack-when-deposed',
    does: 'a leader that steps down acknowledges what it could not commit',
    edits: [
      {
        file: 'src/service/produce',
        from: "call.mayHaveTakenEffect = outcome.status === 'unknown';",
        to: `if (outcome.status === 'unknown') {
            const { endOffset } = this.#parts.host.data(target.shard).queue(target.queueId);
            const next = Math.max(endOffset, (this.given ??= new Map()).get(target.queueId) ?? 0);
            this.given.set(target.queueId, next + head.count);
            const ack = weakAck(target, head, { term: 0, index: 0, replicas: 1 });
            done(undefined, encodeProduceAck({ ...ack, baseOffset: next }));
            return;
          }
          call.mayHaveTakenEffect = false;`,
      },
    ],
    scenario: 'isolate-leader',
    seconds: 20,
    properties: ['lost-write', 'unseen'],
  },
  {
    name: 'repeats-stored',
    does: 'a request that is repeated is answered like the first one, and stored again',
    edits: [
      {
        file: 'src/broker/producing',
        from: "if (verdict.type === 'repeat') return repeated(firstAnswer(verdict.first), count);",
        to: `if (verdict.type === 'repeat') {
          const at = { term: entry.term, index: entry.index };
          const again = { at, count, bytes: entry.payload.length, storedAtMs: entry.timeMs };
          queues.append(queue, again, out);
          return repeated(firstAnswer(verdict.first), count);
        }`,
      },
    ],
    scenario: 'kill-leader',
    seconds: 20,
    properties: ['duplicate'],
  },
  {
    name: 'offsets-forgotten',
    does: 'what a group committed is not in the state on the disk',
    edits: [
      {
        file: 'src/broker/groups',
        from: "out.put('group-offset', key, encodePresent(present));",
        to: '',
      },
    ],
    scenario: 'kill-all',
    seconds: 20,
    properties: ['committed-offset'],
  },
  {
    name: 'half-visible',
    does: 'half messages are read before their commit',
    edits: [
      {
        file: 'src/broker/half-messages',
        from: 'this.#transactions.add(transaction, out);',
        to: `this.#transactions.add(transaction, out);
          const batch = { at: transaction.id, count, bytes: 0, storedAtMs: entry.timeMs };
          this.#queues.append(this.#queues.get(queueId), batch, out);`,
      },
    ],
    scenario: 'kill-leader',
    seconds: 20,
    properties: ['half-invisible'],
  },
  {
    name: 'one-part-shown',
    does: 'of a transaction over several queues a commit shows the first part alone',
    edits: [
      {
        file: 'src/broker/outcomes',
        from: 'stored.filter((one) => commits && one.shard === shard)',
        to: `stored.filter((one, at) => {
            return commits && one.shard === shard && (at === 0 || at === parts.length);
          })`,
      },
    ],
    scenario: 'kill-leader',
    seconds: 20,
    properties: ['transaction-atomicity'],
  },
  {
    name: 'offsets-in-spite',
    does: 'the offsets of a group move although their transaction was rolled back',
    edits: [
      {
        file: 'src/broker/offset-holds',
        from: 'if (!command.commits || !command.parts.some((at) => isAt(hold.id, at))) return;',
        to: '',
      },
    ],
    scenario: 'kill-leader',
    seconds: 20,
    properties: ['committed-offset', 'transaction-atomicity'],
  },
  {
    name: 'old-token-counts',
    does: 'whoever held a message before may still acknowledge it, or give it back',
    edits: [
      {
        file: 'src/broker/deliveries',
        from: "if (one.token !== token) return { status: 'stale' };",
        to: '',
      },
    ],
    scenario: 'kill-leader',
    seconds: 20,
    properties: ['one-holder', 'worked-off'],
  },
];
