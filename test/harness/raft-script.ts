/**
 * Interaction scripts: commands and the trace that they must give, as text that can be read and
 * reviewed. A block is a command line, `----`, then its expected output up to an empty line.
 */
import { DEFAULT_RAFT_CONFIG } from '../../raft/config.ts';
import type { CoreMessage } from '../../raft/messages.ts';
import { type Entry, EntryType } from '../../raft/types.ts';
import { CoreCluster, entries, type TestReplica } from './raft-cluster.ts';

export interface Block {
  /** Comments and blank lines before the command, kept as they are. */
  readonly preamble: string;
  readonly command: string;
  readonly expected: string;
}

export function parseScript(text: string): Block[] {
  const blocks: Block[] = [];
  let preamble = '';
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line === '' || line.startsWith('#')) {
      preamble += `${line}\n`;
      continue;
    }
    const output: string[] = [];
    at++;
    if (lines[at] !== '----') throw new Error(`no ---- after "${line}"`);
    for (at++; at < lines.length && lines[at] !== ''; at++) output.push(lines[at]!);
    blocks.push({ preamble, command: line, expected: output.join('\n') });
    preamble = '\n';
  }
  return blocks;
}

export function printScript(blocks: readonly Block[]): string {
  const printed = blocks.map(({ preamble, command, expected }) => {
    const output = expected === '' ? '' : `${expected}\n`;
    return `${preamble}${command}\n----\n${output}`;
  });
  return printed.join('');
}

function describeEntry({ index, term, type }: Entry): string {
  return `${index}@${term}${type === EntryType.config ? ':config' : ''}`;
}

function describeBody(message: CoreMessage): string {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return `last=${message.lastIndex}@${message.lastTerm}`;
    case 'preVoteReply':
    case 'voteReply':
      return message.granted ? 'granted' : message.sticky ? 'refused sticky' : 'refused';
    case 'append': {
      const body = message.entries.map(describeEntry).join(' ');
      return `prev=${message.prevIndex}@${message.prevTerm} commit=${message.commit} [${body}]`;
    }
    case 'appendReply':
      if (message.success) return `match=${message.matchIndex}`;
      return (
        `conflict at ${message.matchIndex}: term=${message.conflictTerm}` +
        ` from=${message.conflictIndex}`
      );
    case 'written':
      return `index=${message.index}`;
    case 'heartbeat':
      return (
        `commit=${message.commit} round=${message.round} rank=${message.rank}` +
        (message.quiet ? ' quiet' : '')
      );
    case 'heartbeatReply':
      return `round=${message.round}${message.quiet ? ' quiet' : ''}`;
    default:
      return '';
  }
}

function describe(message: CoreMessage): string {
  const head = `${message.from}>${message.to} ${message.type} term=${message.term}`;
  return `${head} ${describeBody(message)}`.trimEnd();
}

function statusOf({ id, core }: TestReplica): string {
  const { log } = core;
  return (
    `${id} ${core.role} term=${core.term} leader=${core.leader} last=${log.lastIndex}` +
    ` commit=${log.commit} durable=${log.durable}${core.isQuiet ? ' quiet' : ''}`
  );
}

/** What whoever waits was told, oldest first. */
function notesOf({ id, confirmedReads, transferred }: TestReplica): string[] {
  return [
    ...confirmedReads.map((read) => `read ${read.id} at ${read.index}`),
    ...transferred.map(({ status }) => `transfer by ${id}: ${status}`),
  ];
}

function describeConfig({ core }: TestReplica): string {
  const { voters, votersOutgoing, learners, learnersNext } = core.currentMembership.config;
  const parts = [`voters ${voters.join(' ')}`];
  if (votersOutgoing.length > 0) parts.push(`outgoing ${votersOutgoing.join(' ')}`);
  if (learners.length > 0) parts.push(`learners ${learners.join(' ')}`);
  if (learnersNext.length > 0) parts.push(`to be learners ${learnersNext.join(' ')}`);
  return parts.join(', ');
}

type Command = (words: readonly string[]) => string[];

/** Runs the commands of one script; state carries over from block to block. */
export class ScriptRunner {
  #cluster = new CoreCluster([1, 2, 3]);
  readonly #commands: Readonly<Record<string, Command>> = {
    cluster: (words) => this.#create(words),
    timeout: ([id]) => this.#on(id, (replica) => replica.timeOut()),
    propose: ([id, text]) => this.#on(id, (replica) => replica.propose(text!)),
    change: ([id, ...words]) => this.#change(Number(id), words),
    transfer: ([id, to]) =>
      this.#on(id, (replica) => {
        const outcome = replica.transferTo(Number(to));
        if (outcome !== undefined) replica.transferred.push(outcome);
      }),
    config: ([id]) => [describeConfig(this.#cluster.replica(Number(id)))],
    read: ([id, read]) => this.#on(id, (replica) => replica.readIndex(Number(read))),
    reset: ([id, peer]) =>
      this.#on(id, (replica) => {
        replica.core.peerReset(Number(peer), replica.now);
        replica.pump();
      }),
    up: ([id, peer]) =>
      this.#on(id, (replica) => {
        replica.core.peerUp(Number(peer), replica.now);
        replica.pump();
      }),
    silent: ([id, peer]) =>
      this.#on(id, (replica) => {
        const heardMs = replica.nowMs - DEFAULT_RAFT_CONFIG.electionTimeoutMs;
        replica.core.peerSilent(Number(peer), heardMs, replica.now);
        replica.pump();
      }),
    'disk-manual': ([id]) =>
      this.#on(id, (replica) => {
        replica.isDiskManual = true;
      }),
    'disk-auto': ([id]) =>
      this.#on(id, (replica) => {
        replica.isDiskManual = false;
        replica.sync();
      }),
    sync: ([id]) => this.#on(id, (replica) => replica.syncOne()),
    restart: ([id]) => this.#on(id, (replica) => replica.restart()),
    advance: ([ms]) => {
      this.#cluster.advance(Number(ms));
      return [];
    },
    run: ([ms]) => this.#run(Number(ms)),
    isolate: ([id]) => {
      this.#cluster.isolate(Number(id));
      return [];
    },
    heal: () => {
      this.#cluster.heal();
      return [];
    },
    deliver: (words) => this.#deliver(words),
    drop: (words) => this.#drop(words),
    settle: () => this.#settle(),
    status: () => this.#status(),
    log: ([id]) => [this.#cluster.replica(Number(id)).logTerms().join(' ')],
  };

  run(command: string): string {
    const [name, ...words] = command.split(' ');
    const handler = this.#commands[name!];
    if (handler === undefined) throw new Error(`unknown command ${name}`);
    return handler(words).join('\n');
  }

  /**
   * `cluster 1 2 3 4 voters=1,2,3 log2=1,1,2`: replicas, who of them is a voter (all), and logs
   * that differ from empty.
   */
  #create(words: readonly string[]): string[] {
    const ids = words.filter((word) => !word.includes('=')).map(Number);
    const logs = new Map<number, number[]>();
    let voters = ids;
    for (const word of words) {
      if (word.startsWith('voters=')) voters = word.slice('voters='.length).split(',').map(Number);
      const found = /^log(\d+)=([\d,]+)$/.exec(word);
      if (found !== null) logs.set(Number(found[1]), found[2]!.split(',').map(Number));
    }
    const logOf = (id: number) => entries(...(logs.get(id) ?? []));
    this.#cluster = new CoreCluster(ids, (id) => ({ voters, log: logOf(id) }));
    return [];
  }

  /** `change 1 v4 l5 r2`: 4 becomes a voter, 5 a learner, 2 goes. */
  #change(id: number, words: readonly string[]): string[] {
    const types = { v: 'addVoter', l: 'addLearner', r: 'remove' } as const;
    const changes = words.map((word) => {
      const node = Number(word.slice(1));
      return { type: types[word[0] as keyof typeof types], node };
    });
    const coming = changes.filter(({ type }) => type !== 'remove');
    const replicas = coming.map(({ node }) => ({ replica: node, node, incarnation: `n${node}` }));
    const refused: string[] = [];
    const lines = this.#on(String(id), (replica) => {
      const result = replica.change({ changes, replicas });
      if ('refused' in result) refused.push(`refused: ${result.refused}`);
    });
    return [...lines, ...refused];
  }

  #on(id: string | undefined, act: (replica: TestReplica) => void): string[] {
    const replica = this.#cluster.replica(Number(id));
    const before = statusOf(replica);
    const notesBefore = notesOf(replica).length;
    act(replica);
    const after = statusOf(replica);
    this.#cluster.collect();
    return [...(after === before ? [] : [after]), ...notesOf(replica).slice(notesBefore)];
  }

  #matching(words: readonly string[]): (message: CoreMessage) => boolean {
    if (words.length === 0) return () => true;
    return ({ from, to, type }) => words.includes(`${from}>${to}`) || words.includes(type);
  }

  #deliver(words: readonly string[]): string[] {
    return this.#watch(() => this.#cluster.deliver(this.#matching(words)).map(describe));
  }

  #drop(words: readonly string[]): string[] {
    this.#cluster.collect();
    const matches = this.#matching(words);
    const dropped = this.#cluster.inFlight.filter(matches);
    this.#cluster.inFlight = this.#cluster.inFlight.filter((message) => !matches(message));
    return dropped.map((message) => `dropped ${describe(message)}`);
  }

  #settle(): string[] {
    return this.#watch(() => {
      const trace: string[] = [];
      for (let rounds = 0; rounds < 100; rounds++) {
        const arrived = this.#cluster.deliver().map(describe);
        if (arrived.length === 0 && this.#cluster.inFlight.length === 0) break;
        trace.push(...arrived);
      }
      return trace;
    });
  }

  /** The messages, then every replica whose state they changed, then what waiters were told. */
  #watch(act: () => string[]): string[] {
    const { replicas } = this.#cluster;
    const before = replicas.map(statusOf);
    const notesBefore = replicas.map((replica) => notesOf(replica).length);
    const trace = act();
    const changed = replicas.map(statusOf).filter((status) => !before.includes(status));
    const notes = replicas.flatMap((replica, at) => notesOf(replica).slice(notesBefore[at]));
    return [...trace, ...changed, ...notes];
  }

  #run(ms: number): string[] {
    const { replicas } = this.#cluster;
    const notesBefore = replicas.map((replica) => notesOf(replica).length);
    this.#cluster.run(ms);
    const notes = replicas.flatMap((replica, at) => notesOf(replica).slice(notesBefore[at]));
    return [...this.#status(), ...notes];
  }

  #status(): string[] {
    return this.#cluster.replicas.map(statusOf);
  }
}
