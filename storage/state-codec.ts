/** The body of a `state` or `reset` record: version, flags, fixed fields, then the membership. */
import assert from 'node:assert';
import type { Membership, ReplicaAddress, ReplicaId, ShardState } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import { readSafeInteger, writeSafeInteger } from './record.ts';

const VERSION = 2;
/** Version, flags, six numbers. */
const FIXED_BYTES = 2 + 6 * 8;
/** Bits of the flags. */
const SUSPECT = 1;
const AUTO_LEAVE = 2;
const MAX_MEMBERS = 65_535;

export function encodeShardState(state: ShardState): Buffer {
  const target = Buffer.allocUnsafe(FIXED_BYTES + membershipBytes(state.membership));
  target[0] = VERSION;
  target[1] = flagsOf(state);
  const { hardState, logStart } = state;
  const fixed = [
    hardState.term,
    hardState.vote,
    hardState.commit,
    state.replica,
    logStart.index,
    logStart.term,
  ];
  for (const [i, value] of fixed.entries()) writeSafeInteger(target, 2 + i * 8, value);
  const end = writeMembership(target, FIXED_BYTES, state.membership);
  assert.equal(end, target.length);
  return target;
}

export function decodeShardState(source: Buffer): ShardState {
  const reader = new Reader(source);
  const version = reader.byte();
  if (version !== VERSION) {
    throw new StorageError('UNKNOWN_FORMAT', `shard state of format ${version}`);
  }
  const flags = reader.byte();
  if ((flags & ~(SUSPECT | AUTO_LEAVE)) !== 0)
    throw new RangeError(`unknown flags ${flags} in a shard state`);
  const term = reader.integer();
  const vote = reader.integer();
  const commit = reader.integer();
  const replica = reader.integer();
  const logStart = { index: reader.integer(), term: reader.integer() };
  const membership = reader.membership((flags & AUTO_LEAVE) !== 0);
  reader.end();
  const state = { hardState: { term, vote, commit }, replica, logStart, membership };
  return (flags & SUSPECT) === 0 ? state : { ...state, suspect: true };
}

function flagsOf({ suspect, membership }: ShardState): number {
  const autoLeave = membership.config.autoLeave === true ? AUTO_LEAVE : 0;
  return autoLeave | (suspect === true ? SUSPECT : 0);
}

function idLists(membership: Membership): (readonly ReplicaId[])[] {
  const { voters, votersOutgoing, learners, learnersNext } = membership.config;
  return [voters, votersOutgoing, learners, learnersNext];
}

function membershipBytes(membership: Membership): number {
  let bytes = 2;
  for (const ids of idLists(membership)) bytes += 2 + ids.length * 8;
  for (const address of membership.replicas) {
    bytes += 17 + Buffer.byteLength(address.incarnation);
  }
  return bytes;
}

function writeMembership(target: Buffer, start: number, membership: Membership): number {
  let at = start;
  for (const ids of idLists(membership)) {
    assert(ids.length <= MAX_MEMBERS);
    at = target.writeUInt16LE(ids.length, at);
    for (const id of ids) {
      writeSafeInteger(target, at, id);
      at += 8;
    }
  }
  assert(membership.replicas.length <= MAX_MEMBERS);
  at = target.writeUInt16LE(membership.replicas.length, at);
  for (const address of membership.replicas) at = writeAddress(target, at, address);
  return at;
}

function writeAddress(target: Buffer, at: number, address: ReplicaAddress): number {
  const length = Buffer.byteLength(address.incarnation);
  assert(length <= 255, 'incarnation over 255 bytes');
  writeSafeInteger(target, at, address.replica);
  writeSafeInteger(target, at + 8, address.node);
  target[at + 16] = length;
  target.write(address.incarnation, at + 17, 'utf8');
  return at + 17 + length;
}

/** Reads past the end throw; the caller turns that into damage at a known position. */
class Reader {
  private readonly source: Buffer;
  private at = 0;

  constructor(source: Buffer) {
    this.source = source;
  }

  byte(): number {
    const value = this.source.readUInt8(this.at);
    this.at += 1;
    return value;
  }

  integer(): number {
    const value = readSafeInteger(this.source, this.at);
    if (Number.isNaN(value)) throw new RangeError('number over 2^53 in a shard state');
    this.at += 8;
    return value;
  }

  membership(autoLeave: boolean): Membership {
    const voters = this.ids();
    const votersOutgoing = this.ids();
    const learners = this.ids();
    const learnersNext = this.ids();
    const replicas = Array.from({ length: this.count() }, () => this.address());
    const config = { voters, votersOutgoing, learners, learnersNext };
    return { config: autoLeave ? { ...config, autoLeave } : config, replicas };
  }

  end(): void {
    if (this.at !== this.source.length) throw new RangeError('bytes after a shard state');
  }

  private count(): number {
    const value = this.source.readUInt16LE(this.at);
    this.at += 2;
    return value;
  }

  private ids(): ReplicaId[] {
    return Array.from({ length: this.count() }, () => this.integer());
  }

  private address(): ReplicaAddress {
    const replica = this.integer();
    const node = this.integer();
    const length = this.byte();
    const end = this.at + length;
    if (end > this.source.length) throw new RangeError('shard state cut short');
    const incarnation = this.source.toString('utf8', this.at, end);
    this.at = end;
    return { replica, node, incarnation };
  }
}
