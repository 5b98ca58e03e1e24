/**
 * A few whole nodes around real drivers in one shared queue of tasks: disks, checkpoints and the
 * network are plain memory, time moves when it is told to, and a test may lose or change anything.
 */
import { DEFAULT_RAFT_CONFIG, type RaftConfig } from '../../raft/config.ts';
import { type ProposalOutcome, RaftDriver } from '../../raft/driver.ts';
import { RaftError, RaftErrorCode } from '../../raft/errors.ts';
import type { Invite, PeerMessage } from '../../raft/messages.ts';
import type {
  LogRecord,
  LogStore,
  RestoredShard,
  SnapshotSource,
  SnapshotStore,
  StateMachine,
  WriteCallbacks,
} from '../../raft/ports.ts';
import {
  EMPTY_BYTES,
  type Entry,
  type EntryId,
  type Membership,
  type RecoveredShard,
  type ShardState,
} from '../../raft/types.ts';
import { SHARD, termStartsOf } from './raft-cluster.ts';

interface Checkpoint extends RestoredShard {
  readonly applied: readonly string[];
}

interface Source extends SnapshotSource {
  readonly bytes: Uint8Array;
}

const PADDING = ' '.repeat(1000);

function checkpointBytes(checkpoint: Checkpoint): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(checkpoint) + PADDING);
}

/** The files of one node; survives its restarts. */
class Disk implements LogStore, SnapshotStore {
  state: ShardState | undefined;
  entries: Entry[] = [];
  records: LogRecord[] = [];
  /** By index: after a crash the log may start after an older one than the newest. */
  readonly checkpoints = new Map<number, Checkpoint>();
  parts: { id: EntryId; bytes: Uint8Array; length: number } | undefined;
  prepared: Checkpoint | undefined;
  /** Entries that answer a read with damage. */
  readonly damaged = new Set<number>();
  failedReads = 0;
  isBroken = false;
  isHeld = false;
  held: (() => void)[] = [];
  sources = 0;
  readonly #later: (run: () => void) => void;

  constructor(later: (run: () => void) => void) {
    this.#later = later;
  }

  /** The newest. */
  get checkpoint(): Checkpoint | undefined {
    return this.checkpoints.get(Math.max(...this.checkpoints.keys()));
  }

  keep(checkpoint: Checkpoint): void {
    this.checkpoints.set(checkpoint.id.index, checkpoint);
  }

  /** As if it had never been used. */
  wipe(): void {
    this.state = undefined;
    this.entries = [];
    this.held = [];
    this.isHeld = false;
    this.checkpoints.clear();
    this.parts = undefined;
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    const finish = (): void => {
      for (const record of records) this.#apply(record);
      callbacks.onWritten?.();
      callbacks.onDurable();
    };
    if (this.isHeld) this.held.push(finish);
    else this.#later(finish);
  }

  release(): void {
    this.isHeld = false;
    for (const finish of this.held.splice(0)) this.#later(finish);
  }

  #apply(record: LogRecord): void {
    this.records.push(record);
    if (record.kind === 'reset') this.entries = [];
    if (record.kind === 'state' || record.kind === 'reset') {
      this.state = record.state;
      const { index: start } = record.state.logStart;
      this.entries = this.entries.filter(({ index }) => index > start);
    } else if (record.kind === 'entry') {
      this.entries = this.entries.filter(({ index }) => index < record.entry.index);
      this.entries.push(record.entry);
    } else if (record.kind === 'repair') this.damaged.delete(record.entry.index);
  }

  read(
    _shard: number,
    from: number,
    to: number,
    _maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void {
    this.#later(() => {
      if (from <= (this.state?.logStart.index ?? 0)) {
        onEntries(new RaftError(RaftErrorCode.compacted, `${from} is gone`), []);
        return;
      }
      const found = this.entries.filter(({ index }) => index >= from && index <= to);
      const bad = found.findIndex(({ index }) => this.damaged.has(index));
      if (bad === 0) this.failedReads++;
      if (bad === 0) onEntries(new RaftError(RaftErrorCode.dataLoss, `${from} is damaged`), []);
      else onEntries(undefined, bad < 0 ? found : found.slice(0, bad));
    });
  }

  openSource(
    _shard: number,
    start: EntryId,
    done: (error: Error | undefined, source?: SnapshotSource) => void,
  ): void {
    const checkpoint = this.checkpoints.get(start.index);
    this.#later(() => {
      if (checkpoint === undefined) done(new Error('no checkpoint'));
      else {
        this.sources++;
        const bytes = checkpointBytes(checkpoint);
        done(undefined, { totalBytes: bytes.length, bytes } as Source);
      }
    });
  }

  readSource(
    source: SnapshotSource,
    offset: number,
    maxBytes: number,
    done: (error: Error | undefined, data?: Uint8Array) => void,
  ): void {
    const { bytes } = source as Source;
    this.#later(() => done(undefined, bytes.subarray(offset, offset + maxBytes)));
  }

  closeSource(): void {
    this.sources--;
  }

  beginReceive(
    _shard: number,
    id: EntryId,
    totalBytes: number,
    done: (error: Error | undefined, nextOffset?: number) => void,
  ): void {
    this.#later(() => {
      if (this.parts?.id.index !== id.index || this.parts.bytes.length !== totalBytes) {
        this.parts = { id, bytes: new Uint8Array(totalBytes), length: 0 };
      }
      done(undefined, this.parts.length);
    });
  }

  receiveChunk(
    _shard: number,
    _id: EntryId,
    offset: number,
    data: Uint8Array,
    done: (error: Error | undefined, nextOffset?: number) => void,
  ): void {
    const parts = this.parts!;
    if (offset !== parts.length) throw new Error(`chunk at ${offset}, not ${parts.length}`);
    this.#later(() => {
      parts.bytes.set(data, offset);
      parts.length += data.length;
      done(undefined, parts.length);
    });
  }

  finishReceive(
    _shard: number,
    _id: EntryId,
    done: (error: Error | undefined, restored?: RestoredShard) => void,
  ): void {
    const { bytes } = this.parts!;
    this.parts = undefined;
    this.#later(() => {
      if (this.isBroken) {
        this.isBroken = false;
        done(new RaftError(RaftErrorCode.dataLoss, 'does not verify'));
        return;
      }
      this.prepared = JSON.parse(new TextDecoder().decode(bytes)) as Checkpoint;
      done(undefined, this.prepared);
    });
  }
}

export class WorldNode implements StateMachine {
  readonly disk: Disk;
  readonly invites: Invite[] = [];
  texts: string[] = [];
  appliedIndex = 0;
  appliedTerm = 0;
  driver: RaftDriver;
  fatal: Error | undefined;
  readonly id: number;
  readonly #world: World;
  #life = 0;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;

  constructor(id: number, world: World) {
    this.id = id;
    this.#world = world;
    this.disk = new Disk((run) => world.tasks.push(this.#alive(run)));
    this.driver = this.#boot();
  }

  #alive(run: () => void): () => void {
    const life = this.#life;
    return () => {
      if (life === this.#life) run();
    };
  }

  #boot(): RaftDriver {
    const world = this.#world;
    return new RaftDriver({
      node: this.id,
      config: { ...DEFAULT_RAFT_CONFIG, bootDelayMs: 100_000, ...world.config },
      store: this.disk,
      transport: { send: (to, _lane, messages) => world.send(this.id, to, messages) },
      clock: {
        nowMs: () => world.nowMs,
        wallMs: () => 1_000_000 + world.nowMs,
        wakeAt: (atMs, wake) => {
          this.#wakeAtMs = atMs;
          this.#wake = this.#alive(wake);
        },
        defer: (run) => world.tasks.push(this.#alive(run)),
        cancelWake: () => {
          this.#wake = undefined;
        },
      },
      rng: () => this.id / 10,
      stateMachine: this,
      snapshots: this.disk,
      events: {
        onInvite: (_from, invite) => this.invites.push(invite),
      },
      onFatal: (error) => {
        this.fatal = error;
      },
    });
  }

  /**
   * Life after `kill`: what the disk holds, and the state as of the checkpoint that the log starts
   * after, or, if its LevelDB is whole, as it was.
   */
  start(damaged: readonly EntryId[] = [], isStateWhole = false): void {
    this.#life++;
    this.driver.stop();
    this.disk.held = [];
    this.driver = this.#boot();
    const checkpoint = this.disk.checkpoints.get(this.disk.state?.logStart.index ?? 0);
    if (!isStateWhole) {
      this.texts = [...(checkpoint?.applied ?? [])];
      this.appliedIndex = checkpoint?.id.index ?? 0;
      this.appliedTerm = checkpoint?.id.term ?? 0;
    }
    if (this.disk.state !== undefined) {
      const recovered = { ...this.recovered(this.disk.state), damaged };
      this.driver.addShard(recovered, this.appliedIndex, checkpoint?.timeMs ?? 0);
    }
    this.driver.start();
    this.#world.connect(this);
  }

  stop(): void {
    this.#life++;
    this.driver.stop();
  }

  recovered(state: ShardState): RecoveredShard {
    const { entries } = this.disk;
    return {
      shard: SHARD,
      state,
      lastIndex: entries.at(-1)?.index ?? state.logStart.index,
      termStarts: termStartsOf(entries),
      configEntries: entries.filter(({ type }) => type === 2),
    };
  }

  tick(): void {
    if (this.#wake === undefined || this.#wakeAtMs > this.#world.nowMs) return;
    const wake = this.#wake;
    this.#wake = undefined;
    wake();
  }

  apply(_shard: number, entry: Entry): unknown {
    if (entry.index !== this.appliedIndex + 1) throw new Error(`applied ${entry.index} late`);
    this.appliedIndex = entry.index;
    this.appliedTerm = entry.term;
    if (entry.type === 1) this.texts.push(new TextDecoder().decode(entry.head));
    return entry.index;
  }

  applied(): void {}

  restore(_shard: number, id: EntryId): void {
    const { prepared } = this.disk;
    if (prepared?.id.index !== id.index) throw new Error('restored without being prepared');
    this.texts = [...prepared.applied];
    this.appliedIndex = id.index;
    this.appliedTerm = id.term;
    this.disk.keep(prepared);
  }

  /** A checkpoint of what is applied, and a log that starts after it. */
  compact(): void {
    const { appliedIndex: index, appliedTerm: term, driver } = this;
    const membership = driver.membershipAt(SHARD, index)!;
    const timeMs = 1_000_000;
    this.disk.keep({ id: { index, term }, timeMs, membership, applied: [...this.texts] });
    driver.setLogStart(SHARD, { index, term });
    this.#world.run(0);
  }
}

export class World {
  readonly config: Partial<RaftConfig>;
  readonly nodes: WorldNode[] = [];
  tasks: (() => void)[] = [];
  nowMs = 0;
  /** Everything that was sent, as `from>to type`. */
  sent: string[] = [];
  /** False: the message is lost. */
  passes: (from: number, to: number, message: PeerMessage) => boolean = () => true;

  constructor(count: number, membership: Membership, config: Partial<RaftConfig> = {}) {
    this.config = config;
    for (let id = 1; id <= count; id++) this.nodes.push(new WorldNode(id, this));
    for (const { node, replica } of membership.replicas) this.hold(node, replica, membership);
    for (const node of this.nodes) node.start();
    this.run(0);
  }

  /** Its old connections are reset, and there are new ones. */
  connect(node: WorldNode): void {
    for (const peer of this.nodes) {
      if (peer === node) continue;
      peer.driver.peerReset(node.id);
      peer.driver.peerUp(node.id);
      node.driver.peerUp(peer.id);
    }
  }

  /** A replica with an empty log, as the host creates it. */
  hold(node: number, replica: number, membership: Membership): void {
    this.node(node).disk.state = {
      hardState: { term: 0, vote: 0, commit: 0 },
      replica,
      logStart: { index: 0, term: 0 },
      membership,
    };
  }

  node(id: number): WorldNode {
    return this.nodes[id - 1]!;
  }

  send(from: number, to: number, messages: readonly PeerMessage[]): void {
    for (const message of messages) {
      this.sent.push(`${from}>${to} ${message.type}`);
      if (!this.passes(from, to, message)) continue;
      this.tasks.push(() => this.nodes[to - 1]?.driver.receive(from, [message]));
    }
  }

  run(ms: number, stepMs = 10): void {
    for (let left = ms; ; left -= stepMs) {
      for (const node of this.nodes) node.tick();
      for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task();
      if (left <= 0) return;
      this.nowMs += stepMs;
    }
  }

  runUntil(isSo: () => boolean, maxMs = 20_000): void {
    const endMs = this.nowMs + maxMs;
    while (!isSo()) {
      if (this.nowMs >= endMs) throw new Error(`not so after ${maxMs} ms`);
      this.run(10);
    }
  }

  leader(): WorldNode {
    const isLeader = ({ driver }: WorldNode) =>
      driver.shards().includes(SHARD) && driver.isReady(SHARD);
    this.runUntil(() => this.nodes.some(isLeader));
    return this.nodes.find(isLeader)!;
  }

  propose(text: string): ProposalOutcome[] {
    const outcomes: ProposalOutcome[] = [];
    const command = { head: new TextEncoder().encode(text), payload: EMPTY_BYTES, bodyCrc: 0 };
    this.leader().driver.propose(SHARD, command, 'majorityFsync', (done) => outcomes.push(done));
    this.run(0);
    return outcomes;
  }
}
